"""Assemble the structs of past runs from rows of the run store.

In: rows. Out: structs of ``past``. JSON that does not have the type of its struct raises ValueError or TypeError.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from e2i import compact
from e2i.catalog.step_error import ErrorDocument
from e2i.documents import OutputValues, ParamValues
from e2i.planning.inputs import Components
from e2i.resilience.checksum import is_intact
from e2i.resilience.processes import process_alive
from e2i.store.past import (
    ListedRun,
    PlannedStep,
    RecordedAttempt,
    RecordedOptions,
    RecordedPlan,
    RecordedRun,
    RecordedStep,
    RunError,
    RunOrigin,
    RunStatus,
    StepStatus,
)
from e2i.store.rows import Result
from e2i.telemetry.bodies import Recorded

T = TypeVar("T")
PAUSES = "pauses"
"""The key of ``Pauses`` in the origin of a recorded run."""
Pause = tuple[int, int]
"""The time between an interruption and a resumption, as start and end in milliseconds since the epoch."""


class Pauses(Struct, frozen=True):
    """The pauses of a run. They are recorded with its origin."""

    pauses: tuple[Pause, ...] = ()

    @property
    def paused_ms(self) -> int:
        return sum(until - start for start, until in self.pauses)

    @property
    def resumed_ms(self) -> int | None:
        """Returns when the run was last resumed."""
        return self.pauses[-1][1] if self.pauses else None


def recorded(row: sqlite3.Row, steps: Sequence[sqlite3.Row], attempts: Sequence[sqlite3.Row]) -> RecordedRun:
    """Returns the run of a row, with its steps in the order of the plan. A step without a row is pending."""
    status = status_of(row)
    plan = compact.loads(row["plan"], RecordedPlan)
    pauses = _pauses(row["provenance"])
    rows = {step["step"]: step for step in steps}
    tries = _by_step(attempts)
    over = status != "running"
    found = tuple(
        _step(row["run"], step, rows.get(step.id), tuple(tries.get(step.id, ())), over=over) for step in plan.steps
    )
    return RecordedRun(
        id=row["run"],
        pipeline=row["pipeline"],
        status=status,
        started_ms=row["started_ms"],
        ended_ms=row["ended_ms"],
        paused_ms=pauses.paused_ms,
        resumed_ms=pauses.resumed_ms,
        file=row["file"],
        profile=row["profile"],
        spec=row["spec"],
        params=_data(row["params"], ParamValues) or ParamValues(),
        plan=plan,
        outputs=_data(row["outputs"], OutputValues),
        host=row["host"],
        included=compact.loads(row["included"] or "{}", dict[str, str]),
        options=compact.loads(row["options"] or "{}", RecordedOptions),
        provenance=compact.loads(row["provenance"] or "{}", RunOrigin),
        steps=found,
        errors=tuple(_run_error(step.id, step.uses, step.status, step.error) for step in found if step.error),
        corrupt=tuple(_corrupt(row, steps, attempts)),
    )


def listed(
    row: sqlite3.Row, status: RunStatus, steps: Mapping[str, int], errors: Sequence[sqlite3.Row] = ()
) -> ListedRun:
    """Returns the run of a row for the list. ``steps``: their number in each status; ``errors``: rows of steps that
    have an error.
    """
    pauses = pauses_of(row["provenance"])
    return ListedRun(
        id=row["run"],
        pipeline=row["pipeline"],
        status=status,
        started_ms=row["started_ms"],
        ended_ms=row["ended_ms"],
        paused_ms=pauses.paused_ms,
        resumed_ms=pauses.resumed_ms,
        file=row["file"],
        profile=row["profile"],
        host=row["host"],
        params=_data(row["params"], ParamValues, lenient=True) or ParamValues(),
        outputs=_data(row["outputs"], OutputValues, lenient=True),
        steps=dict(steps),
        errors=tuple(_errors_of(row, errors)),
    )


def status_of(row: sqlite3.Row) -> RunStatus:
    """Returns the status of a run: a running run whose process has exited is interrupted."""
    found: RunStatus = row["status"]
    return "interrupted" if found == "running" and not process_alive(str(row["holder"])) else found


def actions(row: sqlite3.Row) -> dict[str, str]:
    """Returns the action of each step of a run."""
    return {step.id: step.uses for step in compact.loads(row["plan"], RecordedPlan).steps}


def result(row: sqlite3.Row) -> Result:
    """Returns the reusable result of a row."""
    return Result(
        fingerprint=row["fingerprint"],
        static_key=row["static_key"],
        uses=row["uses"],
        components=compact.loads(row["components"], Components),
        outputs=compact.loads(row["outputs"], OutputValues),
        telemetry=compact.loads(row["telemetry"], list[Recorded]),
        run=row["run"],
        created_ms=row["created_ms"],
    )


def pauses_of(provenance: str) -> Pauses:
    """Returns the pauses of a run between its start and its end; none for a corrupt row."""
    try:
        return _pauses(provenance)
    except (ValueError, TypeError):
        return Pauses()


def _pauses(provenance: str) -> Pauses:
    return compact.loads(provenance or "{}", Pauses)


def _step(
    run: str, planned: PlannedStep, row: sqlite3.Row | None, tries: tuple[RecordedAttempt, ...], *, over: bool
) -> RecordedStep:
    """``over``: whether the run has ended. Then a running step is interrupted: its process has exited."""
    pending = RecordedStep(
        run=run,
        id=planned.id,
        uses=planned.uses,
        needs=planned.needs,
        verdict=planned.verdict,
        reason=planned.reason,
        status="pending",
    )
    if row is None:
        return pending
    return replace(
        pending,
        status="interrupted" if over and row["status"] == "running" else row["status"],
        note=row["note"],
        attempts=row["attempts"],
        tries=tries,
        started_ms=row["started_ms"],
        ended_ms=row["ended_ms"],
        fingerprint=row["fingerprint"],
        outputs=_data(row["outputs"], OutputValues),
        error=_error(row["error"]),
    )


def _errors_of(run: sqlite3.Row, rows: Sequence[sqlite3.Row]) -> Iterator[RunError]:
    """Yields the errors of a run's steps; a corrupt row has none."""
    if not rows:
        return
    with contextlib.suppress(ValueError, TypeError):
        uses = actions(run)
        for row in rows:
            if (error := _error(row["error"])) is not None:
                yield _run_error(row["step"], uses.get(row["step"], ""), row["status"], error)


def _run_error(step: str, uses: str, status: StepStatus, error: ErrorDocument) -> RunError:
    return RunError(
        step=step, uses=uses, status=status, code=error.code, message=error.message, outage=error.outage is True
    )


def _by_step(rows: Sequence[sqlite3.Row]) -> dict[str, list[RecordedAttempt]]:
    """Returns the attempts by step."""
    found: dict[str, list[RecordedAttempt]] = {}
    for row in rows:
        attempt = RecordedAttempt(
            number=row["attempt"],
            started_ms=row["started_ms"],
            ended_ms=row["ended_ms"],
            seconds=row["seconds"],
            error=_error(row["error"]),
        )
        found.setdefault(row["step"], []).append(attempt)
    return found


def _corrupt(run: sqlite3.Row, steps: Sequence[sqlite3.Row], attempts: Sequence[sqlite3.Row]) -> Iterator[str]:
    """Yields the names of the rows that were altered."""
    if not is_intact(run):
        yield f"run {run['run']}"
    yield from (f"step {row['step']}" for row in steps if not is_intact(row))
    yield from (f"attempt {row['attempt']} of step {row['step']}" for row in attempts if not is_intact(row))


def _data(text: str | None, kind: type[T], *, lenient: bool = False) -> T | None:
    """Returns the object in a column. ``lenient``: None for a corrupt one."""
    if lenient:
        try:
            return _data(text, kind)
        except (ValueError, TypeError):
            return None
    return compact.loads(text, kind) if text and text != "null" else None


def _error(text: str | None) -> ErrorDocument | None:
    return compact.loads(text, ErrorDocument) if text else None
