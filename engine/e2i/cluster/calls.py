"""Executes one call on a node: fetches its inputs, runs it in a slot, stores its results, and reports all of it.

In: a setup and an assignment as bytes. Out: reports, the last one ``Finished`` or ``Refused``. Nothing is raised: Dask
would log the arguments of a failed task, which contain the step's secrets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import DecodeError, Struct

from e2i import __version__
from e2i.cluster import messages
from e2i.cluster.messages import Assignment, Entered, Finished, Logged, Progressed, Recorded, Refused, Report
from e2i.cluster.slots import Site, Slot, Slots
from e2i.errors import E2IError
from e2i.store import disk
from e2i.store.history import stored_digests
from e2i.telemetry.bodies import Attachment, Measurement
from e2i.workers import executor, steplog
from e2i.workers.executor import Ended, Failure
from e2i.workspace.environment import installed

TURN = 0.2
"""Seconds between looks at the log of a running call, and at whether it was cancelled."""
CHUNK = 64_000
"""Maximum bytes of a log in one report: the scheduler keeps the last reports of a run in memory."""
TRANSFERS = 4
"""Number of artifacts of a call that are transferred at a time."""

Publish = Callable[[str, bytes], None]


class Unusable(Exception):
    """Raised when this node cannot execute the call. Another one may."""


class Call(Struct, eq=False):
    """One call on a node."""

    assignment: Assignment
    node: str
    """Address of the node."""
    publish: Publish
    cancelled: threading.Event

    def tell(self, report: Report, body: bytes = b"") -> None:
        self.publish(self.assignment.topic, messages.report_bytes(report, body))


def execute(
    setup: bytes, content: bytes, slots: Slots, node: str, publish: Publish, cancelled: threading.Event
) -> None:
    """Executes a call to its end."""
    try:
        call = Call(messages.read_assignment(content), node, publish, cancelled)
    except (ValueError, DecodeError, TypeError):
        return None  # of another version: the engine learns from the end of the task that there is no result
    token, info = call.assignment.token, call.assignment.call.info
    try:
        ended, artifacts = _execute(setup, call, slots)
    except Unusable as error:
        return call.tell(Refused(token=token, node=node, reason=str(error)))
    except E2IError as error:
        ended, artifacts = _failed(call, error.code, error.message, error.hint), ()
    except Exception as error:  # noqa: BLE001 - the outermost boundary of a node; text of the call stays here
        ended, artifacts = _failed(call, "node-failed", f"node {node} failed: {type(error).__name__}", None), ()
    finished = Finished(
        token=token,
        node=node,
        run=info.run,
        step=info.step,
        fingerprint=call.assignment.call.fingerprint,
        ended=ended,
        artifacts=artifacts,
    )
    return call.tell(finished)


def _execute(setup: bytes, call: Call, slots: Slots) -> tuple[Ended, tuple[str, ...]]:
    """Returns the end of the call, and the digests of what it stored. Raises Unusable, and E2IError."""
    assignment, token = call.assignment, call.assignment.token
    try:
        site = slots.site(setup, messages.read_setup)
    except (ValueError, DecodeError) as error:
        raise Unusable(f"it has e2i {__version__}, which cannot read the settings of this run") from error
    _require_versions(site, assignment)
    inputs = {*stored_digests(dict(assignment.call.params)), *(assignment.call.files or {}).values()} - {None}
    if inputs:
        call.tell(Entered(token=token, node=call.node, phase="fetching"))
    slot = slots.take(setup, site, assignment.call.uses)
    try:
        try:
            _transfer(lambda digest: site.storage.fetch(digest, slots.artifacts), inputs, site, "fetch")
            slot.arrange(assignment.call.files or {}, slots.artifacts)
        except OSError as error:
            trouble = disk.trouble(error, slot.workspace)
            raise Unusable(trouble.message if trouble else f"its disk fails ({type(error).__name__})") from error
        call.tell(Entered(token=token, node=call.node, phase="running"))
        ended, attached = _run(call, slot, slots.artifacts.root)
    finally:
        slots.give_back(slot)
    artifacts = sorted({*stored_digests(dict(ended.outputs)), *attached})
    if artifacts:
        call.tell(Entered(token=token, node=call.node, phase="storing"))
        push = site.storage.push_artifact
        _transfer(lambda digest: push(digest, slots.artifacts.path(digest)), artifacts, site, "store")
    return ended, tuple(artifacts)


def _require_versions(site: Site, assignment: Assignment) -> None:
    """Raises Unusable when this node's versions differ from the plan's."""
    found = {name: installed(name) for name in assignment.libraries}
    pairs = [("e2i", __version__, site.setup.e2i), *((n, found[n], v) for n, v in assignment.libraries.items())]
    different = [f"{name} {have or 'is missing'}, not {want}" for name, have, want in pairs if have != want]
    if different:
        raise Unusable(f"its versions differ from the plan's: {'; '.join(different)}")


def _transfer(move: Callable[[str], bool], digests: Iterable[str | None], site: Site, what: str) -> None:
    """Fetches or stores several artifacts at a time. Raises E2IError when one cannot be."""
    wanted = [digest for digest in digests if digest is not None]
    if not wanted:
        return
    with ThreadPoolExecutor(TRANSFERS, thread_name_prefix="e2i-transfer") as pool:
        moved = list(pool.map(move, wanted))
    if not all(moved):
        missing = wanted[moved.index(False)]
        why = site.storage.problem or "it is not in the storage"
        raise ClusterStorage(f"the node could not {what} {missing}: {why}", code="cluster-storage")


class ClusterStorage(E2IError):
    """Raised when an artifact cannot be fetched from the storage, or stored there."""


def _run(call: Call, slot: Slot, store: Path) -> tuple[Ended, list[str]]:
    """Runs the call in the slot. Returns its end, and the digests of the artifacts that it attached."""
    wanted, token = call.assignment.call, call.assignment.token
    log = LogTail(steplog.path_of(store, wanted.info.run, wanted.info.step))
    attached: list[str] = []
    slot.pool.poll(0.0)  # an idle slot was not polled, and a pool gives calls the time back for which it was stopped
    slot.pool.submit(wanted)
    asked = False
    while True:
        bodies: list[Measurement] = []
        progress: executor.Progressed | None = None
        ended: Ended | None = None
        for message in slot.pool.poll(TURN):
            match message:
                case executor.Measured(body=body):
                    bodies.append(body)
                    if isinstance(body, Attachment):
                        attached.extend(stored_digests(body.artifact))
                case executor.Progressed():
                    progress = message
                case Ended():
                    ended = message
        if bodies:
            call.tell(Recorded(token=token, bodies=tuple(bodies)))
        if progress is not None:
            call.tell(Progressed(token=token, done=progress.done, total=progress.total, note=progress.note))
        for offset, part in log.parts(again=ended is not None and ended.cut):
            call.tell(Logged(token=token, offset=offset), part)
        if ended is not None:
            log.path.unlink(missing_ok=True)
            return ended, attached
        if call.cancelled.is_set() and not asked:
            asked = True
            slot.pool.cancel(wanted.info.step)


class LogTail:
    """The log of a running call, as far as it was not reported yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def parts(self, *, again: bool) -> Iterable[tuple[int, bytes]]:
        """Yields what was added, with its offset. ``again``: everything, because the log was cut."""
        self._offset = 0 if again else self._offset
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                while part := file.read(CHUNK):
                    yield self._offset, part
                    self._offset += len(part)
        except FileNotFoundError:  # most steps print nothing
            return


def _failed(call: Call, code: str, message: str, hint: str | None) -> Ended:
    return Ended(call.assignment.call.info.step, 0.0, failure=Failure(code, message, hint, lost=True))
