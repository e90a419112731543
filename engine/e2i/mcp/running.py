"""Start, follow and stop runs that outlive the server: each is a process of its own, and its events are in a file.

In: the id of a kept plan, or of a run. Out: events from a cursor on. The cursor is a position in the file of events, so
that a later server continues where an earlier one was killed, and nothing is lost or repeated.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from e2i import api, compact, regular
from e2i.approvals import required
from e2i.documents import JsonObject, ParamValues
from e2i.errors import BadInput
from e2i.execution.session import new_run_id
from e2i.mcp import following, plans
from e2i.mcp.answers import Started, Stopped, Watched
from e2i.mcp.place import Place, now_ms
from e2i.planning import binding
from e2i.resilience.processes import process_alive
from e2i.store import ownership

RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
EVENTS, REQUEST, HOLDER, LOG = "events.jsonl", "request.json", "holder", "process.log"
LONGEST = 25.0
"""Most seconds of one wait."""
LOOK = 0.05
LOOK_AT_RECORDS = 0.3
STARTING = 30.0
"""Seconds that a process may take until it has written that it runs."""
MOST = 64 * 1024
"""Most bytes of events in an answer; at least one event."""
FIELD = 1_000
"""Most characters of a value in an event; `read` has the rest."""
FIELDS = 200
FINISHED, REFUSED = "run.finished", "run.refused"


class RunRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The input of the process of a run. The plan has the rest."""

    run: str
    plan: str
    root: str
    store: str
    profile: str | None


class Runs:
    """The runs that servers have started, found by their files; other runs of the store can be followed."""

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        self._place = place
        self._read_only = read_only
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, plan: str, resume: str | None = None) -> Started:
        """Starts the run of a kept plan in a process of its own, or resumes one that did not finish. Returns its id
        and the cursor of the next event at once.

        Raises Refused when the plan has changed or is not approved. The process checks both again.
        """
        workspace = self._place.workspace()
        request, approved = plans.kept(workspace.store, plan)
        now, expanded = api.planned(
            self._place.spec(request.spec, workspace),
            ParamValues(request.params),
            select=request.select,
            fresh=request.fresh,
            workspace=workspace,
        )
        binding.check(now, approved)
        need = required.need(now, expanded, workspace, now_ms(), resume)
        if need is not None and need.refusal is not None:
            raise need.refusal
        run = resume or new_run_id()
        if resume is None:
            folder = workspace.store / "runs" / run
            ownership.create(workspace.store)
            folder.mkdir(mode=0o700, parents=True)
        else:
            folder = self._interrupted(resume, plan)
        asked = RunRequest(run, plan, str(self._place.root), str(workspace.store), self._place.profile)
        regular.write(folder / REQUEST, msgspec.json.encode(asked), mode=0o600)
        (folder / EVENTS).touch(mode=0o600)
        cursor = (folder / EVENTS).stat().st_size
        self._spawn(folder)
        return Started(run=run, cursor=cursor)

    async def watch(self, run: str, cursor: int, wait: float, sleep: Callable[[float], Awaitable[Any]]) -> Watched:
        """Returns the events after the cursor, as soon as there are any or the run is over, at the latest after
        ``wait`` seconds.
        """
        store = self._place.workspace().store
        is_own = _is_own(store, run)
        ends = time.monotonic() + min(max(wait, 0.0), LONGEST)
        while True:
            self._children = [child for child in self._children if child.poll() is None]
            if is_own:
                path = store / "runs" / run / EVENTS
                status = _status(path.parent)  # before the events: those that a dead process wrote are all read
            else:
                path, status = following.follow(store, run, write=not self._read_only)
            events, after, more = _events(path, cursor)
            if events or status not in ("starting", "running") or time.monotonic() >= ends:
                break
            await sleep(LOOK if is_own else LOOK_AT_RECORDS)
        return Watched(run=run, status=_status_after(events, status), cursor=after, events=events, more=more)

    def stop(self, run: str, *, now: bool) -> Stopped:
        """Asks a run to stop after its running steps, or at once. Another run of the plan reuses what is finished."""
        folder = self._folder(run)
        holder = _read(folder / HOLDER)
        if not process_alive(holder):
            return Stopped(run=run, status=_status(folder))
        os.kill(int(holder.partition(":")[0]), signal.SIGTERM if now else signal.SIGINT)
        return Stopped(run=run, status="stopping")

    def _spawn(self, folder: Path) -> None:
        """Starts the process of a run, in a session of its own: what ends the server does not end it."""
        environ = {**os.environ, "E2I_ORIGIN": "agent"}
        with (folder / LOG).open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "e2i.mcp.process", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._place.root,
                env=environ,
                start_new_session=True,
            )
        self._children.append(child)

    def _interrupted(self, run: str, plan: str) -> Path:
        """Returns the folder of a run that can be resumed. Raises BadInput."""
        folder = self._folder(run)
        asked = msgspec.json.decode(regular.read(folder / REQUEST, regular.SPEC), type=RunRequest)
        status = _status(folder)
        if asked.plan != plan or status not in ("interrupted", "failed"):
            raise BadInput(
                f"run {run} of the plan {asked.plan} is {status}",
                code="bad-resume",
                hint="only an interrupted or failed run of the same plan can be resumed",
            )
        (folder / HOLDER).unlink(missing_ok=True)
        _complete(folder / EVENTS)
        return folder

    def _folder(self, run: str) -> Path:
        """Returns the folder of a run that a server has started. Raises BadInput."""
        store = self._place.workspace().store
        if not _is_own(store, run):
            raise BadInput(
                f"no run {run!r} was started here", code="unknown-run", hint="`read` e2i://runs shows every run"
            )
        return store / "runs" / run


def _is_own(store: Path, run: str) -> bool:
    """Returns whether a server has started the run."""
    return RUN.fullmatch(run) is not None and (store / "runs" / run / REQUEST).is_file()


def _status(folder: Path) -> str:
    """Returns starting, running, or the status of the end; `interrupted` when the process has died."""
    holder = _read(folder / HOLDER)
    if process_alive(holder):
        return "running"
    if not holder and time.time() - (folder / REQUEST).stat().st_mtime < STARTING:
        return "starting"
    if (last := _last(folder / EVENTS)) and last.get("event") in (FINISHED, REFUSED):
        return "refused" if last["event"] == REFUSED else str(last["status"])
    return "interrupted"


def _status_after(events: list[JsonObject], status: str) -> str:
    """Returns the status, which the last of the events may have changed since it was read."""
    last = events[-1] if events else {}
    if last.get("event") == FINISHED:
        return str(last["status"])
    return "refused" if last.get("event") == REFUSED else status


def _events(path: Path, cursor: int) -> tuple[list[JsonObject], int, bool]:
    """Returns whole lines from the cursor on, the cursor after them, and whether there are more."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(min(cursor, size) - 1, 0))
        if not 0 <= cursor <= size or (cursor and file.read(1) != b"\n"):
            raise BadInput(f"{cursor} is not a cursor of this run", code="bad-cursor", hint="use 0, or the last one")
        events: list[JsonObject] = []
        after = cursor
        for line in file:
            if not line.endswith(b"\n"):
                break  # being written
            if events and after + len(line) - cursor > MOST:
                return events, after, True
            after += len(line)
            fields = json.loads(line).items()
            events.append({key: _brief(value) for key, value in fields if value is not None and key not in LEFT_OUT})
    return events, after, False


LEFT_OUT = ("schema_version", "run")
"""Fields of events that are the same in all of them."""


def _brief(value: Any) -> Any:
    """Returns a field of an event; as a cut text when it is long, or its values when it is an object."""
    if isinstance(value, int | float) or len(text := compact.dumps(value)) <= FIELD:
        return value
    if isinstance(value, dict):
        return {name: _brief(item) for name, item in list(value.items())[:FIELDS]}
    return f"{text[:FIELD]}…"


def _complete(path: Path) -> None:
    """Ends the line that a dead process has begun, if any, so that the next event has a line of its own."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = 0
        file.seek(0)
        for line in file:
            whole += len(line) if line.endswith(b"\n") else 0
        if whole < size:
            file.truncate(whole)


def _last(path: Path) -> JsonObject:
    """Returns the last event; nothing when it is not written yet."""
    with path.open("rb") as file:
        size, window = file.seek(0, os.SEEK_END), 2**16
        while True:
            file.seek(max(0, size - window))
            lines = file.read(window).splitlines()
            if len(lines) > 1 or window >= size:
                break
            window *= 4  # the end of a run has its outputs, of any length
    try:
        return dict(json.loads(lines[-1])) if lines else {}
    except ValueError:
        return {}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
