"""Follow a run that no server has started: its records in the store become events in a file, as the process of a run
writes them.

In: a run of the store. Out: the file of events, and the run's status. A cursor is a position in the file, so it means
the same to every later server, and no event is lost or repeated. Records have less than events: no progress, no
warnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import OutputValues
from e2i.errors import BadInput
from e2i.mcp.answers import Answer
from e2i.records import lookup
from e2i.resilience import lock
from e2i.store.past import RecordedRun, RecordedStep

FOLLOWED = "followed.jsonl"
OPEN = ("pending", "running")
"""Statuses of steps that have not ended."""


class EventHead(Answer, frozen=True, kw_only=True):
    """What distinguishes an event. A step that a resumed run executes again has other times."""

    event: str
    at: float
    step: str = ""


class FollowedEvent(EventHead, frozen=True, kw_only=True):
    """An event, as far as records have it: the fields of the events of runs, see ``e2i.execution.events``."""

    run: str
    name: str = ""
    resumed: bool = False
    uses: str | None = ""
    attempt: int = 0
    attempts: int = 0
    status: str = ""
    error: ErrorDocument | None = None
    note: str = ""
    outputs: OutputValues | None = None


def follow(store: Path, run: str, *, write: bool) -> tuple[Path, str]:
    """Adds to the file of a run what its records have and the file has not. Returns the file and the run's status.

    ``write=False``: the file stays as it is. Raises BadInput for an unknown run, and for one without a file that must
    not be written.
    """
    if lookup.id_of(store, run) != run:
        raise BadInput(f"{run!r} is not the whole id of a run", code="unknown-run", hint="`read` e2i://runs shows them")
    path = store / "runs" / run / FOLLOWED
    if not write:
        if not path.exists():
            message = f"a server that writes nothing follows only runs that a server has started, not {run}"
            raise BadInput(message, code="unknown-run", hint=f"`read` e2i://runs/{run}")
        return path, str(lookup.run(store, run).run.status)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.exclusive(path.with_suffix(".lock")):  # several servers may follow the same run
        path.touch(mode=0o600)
        recorded = lookup.run(store, run).run
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a server may have died while it wrote
        known = {_key(msgspec.json.decode(line, type=EventHead)) for line in whole.splitlines()}
        new = [event for event in events(recorded) if _key(event) not in known]
        with path.open("r+b") as file:
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in new))
    return path, str(recorded.status)


def events(run: RecordedRun) -> Iterator[FollowedEvent]:
    """Yields the events that records tell of, in the order of their times, the end of the run last."""
    begun = FollowedEvent(event="run.started", run=run.id, at=run.started_ms / 1000, name=run.pipeline)
    found = [begun]
    if run.resumed_ms is not None:
        found.append(replace(begun, at=run.resumed_ms / 1000, resumed=True))
    for step in run.steps:
        found += _of_step(run.id, step)
    yield from sorted(found, key=lambda event: event.at)
    if run.ended_ms is not None and run.status != "running":
        at = run.ended_ms / 1000
        yield FollowedEvent(event="run.finished", run=run.id, at=at, status=run.status, outputs=run.outputs)


def _of_step(run: str, step: RecordedStep) -> Iterator[FollowedEvent]:
    if step.started_ms is not None:
        at = step.started_ms / 1000
        yield FollowedEvent(event="step.started", run=run, at=at, step=step.id, uses=step.uses)
    for one in step.tries[:-1]:
        at = one.ended_ms / 1000
        yield FollowedEvent(event="step.retried", run=run, at=at, step=step.id, attempt=one.number + 1, error=one.error)
    if step.status not in OPEN and step.ended_ms is not None:
        yield FollowedEvent(
            event="step.finished",
            run=run,
            at=step.ended_ms / 1000,
            step=step.id,
            status=step.status,
            attempts=step.attempts,
            error=step.error,
            note=step.note,
        )


def _key(event: EventHead) -> tuple[str, str, float]:
    return event.event, event.step, event.at
