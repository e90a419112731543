"""Record runs and steps durably: each transition is committed before it is acted on.

In: transitions. Out: the rows that ``history`` reads, reusable results, telemetry for the outbox; all in one SQLite
file.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import astuple, replace

from e2i import compact
from e2i.documents import OutputValues, plain
from e2i.errors import Refused
from e2i.resilience import processes
from e2i.resilience.checksum import SqlValue, checksum
from e2i.resilience.transaction import transaction
from e2i.store import unfinished
from e2i.store.approvals import ApprovalTable
from e2i.store.assembly import PAUSES, Pause, pauses_of
from e2i.store.database import FILE, SQLITE_ERRORS, StoreError, guarded, open_for_writing, store_error
from e2i.store.history import Results
from e2i.store.past import RecordedAttempt, RecordedOptions
from e2i.store.rows import Result, RunRow, StepEnd
from e2i.store.unfinished import Unfinished
from e2i.store.usage import UsageTable
from e2i.telemetry import outbox, quota
from e2i.telemetry.bodies import Recorded
from e2i.telemetry.entries import Entry

RUN = RunRow.__struct_fields__
KEPT = ("pipeline", "started_ms", "file", "spec", "profile", "params", "included", "options")
"""The columns that a resumed run keeps."""
PUT_RUN = f"INSERT OR REPLACE INTO runs ({', '.join(RUN)}, checksum) VALUES ({', '.join('?' * (len(RUN) + 1))})"
PUT_STEP = "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_ATTEMPT = "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PUT_RESULT = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_LATEST = (
    "INSERT INTO latest VALUES (?, ?, ?) ON CONFLICT (pipeline, step) DO UPDATE SET fingerprint = excluded.fingerprint"
    " WHERE fingerprint != excluded.fingerprint"
)
SEEN = (
    "max(started_ms, coalesce((SELECT max(max(coalesce(started_ms, 0), coalesce(ended_ms, 0))) FROM steps"
    " WHERE steps.run = runs.run), 0),"
    f" CASE WHEN json_valid(provenance) THEN coalesce(json_extract(provenance, '$.{PAUSES}[#-1][1]'), 0) ELSE 0 END)"
)
"""The last sign of life of a running run: its start, the start or end of a step, or its resumption."""
OPEN_RUNS = f"SELECT run, holder, {SEEN} FROM runs WHERE status = 'running' ORDER BY run"
CLAIMED = "SELECT run, step, holder, at_ms FROM claims WHERE fingerprint = ?"
CLAIM = "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?)"
RELEASE = "DELETE FROM claims WHERE fingerprint = ? AND run = ?"

WARNED = """SELECT 1 FROM results WHERE fingerprint = ? AND instr(telemetry, '"warning",{')"""

GOOD = ("succeeded", "reused")
DONE = f"""
SELECT step FROM steps WHERE run = ? AND status IN {GOOD}
UNION SELECT step FROM attempts WHERE run = ? AND error IS NULL
"""


class Claim(Struct, frozen=True):
    """The claim of a step on the work of a fingerprint. ``holder`` is a process identity, ``at_ms`` since the epoch."""

    run: str
    step: str
    holder: str
    at_ms: int


class RunStore(Results):
    """Writes runs and steps. One object belongs to one thread; several processes may have the store open.

    Every method raises StoreError when the disk does not accept a write.
    """

    def __init__(self, root: Path, is_there: Callable[[str], bool]) -> None:
        path = (root / FILE).absolute()
        database, self.quarantined = open_for_writing(path)
        """``quarantined``: the path of the previous state, if that was corrupt beyond reading."""
        super().__init__(database, path, is_there)
        self.approvals = ApprovalTable(database)
        """The approvals of plans. Its methods are called inside ``together``."""
        self._usage = UsageTable(database)
        self._file = _inode(path)
        self._holder = processes.process_identity()
        self._open: set[str] = set()
        """The runs that this object started and did not finish."""
        self._started: dict[tuple[str, str], int] = {}
        """The first start of each running step."""
        self._claimed: set[str] = set()
        self._data_version: int = database.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        """Releases everything. An unfinished run becomes interrupted."""
        with contextlib.suppress(StoreError):
            for run in sorted(self._open):
                self._end_run(run, "interrupted", None, time.time_ns() // 1_000_000)
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    @guarded
    def telemetry(self, fingerprint: str) -> list[Recorded]:
        """Returns the telemetry of a finished step."""
        row = self._result(fingerprint)
        return compact.loads(row["telemetry"], list[Recorded]) if row else []

    @guarded
    def warnings(self, fingerprint: str) -> list[str]:
        """Returns the warnings of a finished step, each once. Cheap for a step without any."""
        if self._database.execute(WARNED, (fingerprint,)).fetchone() is None:
            return []
        return list(dict.fromkeys(body["message"] for kind, body in self.telemetry(fingerprint) if kind == "warning"))

    def resume(
        self, pipeline: str, plan: str, options: RecordedOptions, *, file: str, spec: str, included: Mapping[str, str]
    ) -> Unfinished | None:
        """Claims the run that ``unfinished.find`` finds for this process. Of several claimants, one succeeds.

        The run then has this file, spec and included specs: they have the same meaning, perhaps in other words.
        """
        if self.resumable(pipeline, plan, options) is None:
            return None
        with self._transaction():
            found = self.resumable(pipeline, plan, options)  # read again: inside the transaction nobody can claim it
            if found is not None and (before := self._run(found.run)) is not None:
                pauses = self._pauses(before, time.time_ns() // 1_000_000)
                claimed = replace(
                    before,
                    status="running",
                    holder=self._holder,
                    ended_ms=None,
                    outputs=None,
                    file=file,
                    spec=spec,
                    included=compact.dumps(dict(included)),
                    provenance=_with_pauses(before.provenance, pauses),
                )
                self._put_run(claimed)
                self._open.add(found.run)
        return found

    @guarded
    def done(self, run: str) -> frozenset[str]:
        """Returns the steps that have ever succeeded in a run; none for a new run."""
        return frozenset(row[0] for row in self._database.execute(DONE, (run, run)))

    def start_run(self, run: RunRow) -> bool:
        """Records the start of a run. Returns whether it is resumed.

        A resumed run keeps its original options and its finished steps. Raises Refused when another live process
        executes the run.
        """
        row = replace(run, host=run.host or os.uname().nodename)
        with self._transaction():
            before = self._run(run.run)
            if before is not None:
                self._refuse_held(before)
                is_claimed = before.status == "running" and before.holder == self._holder
                pauses = pauses_of(before.provenance).pauses if is_claimed else self._pauses(before, run.started_ms)
                row = replace(
                    row,
                    **{name: getattr(before, name) for name in KEPT},
                    provenance=_with_pauses(run.provenance, pauses),
                )
                self._database.execute(
                    "DELETE FROM steps WHERE run = ? AND status NOT IN ('succeeded', 'reused')", (run.run,)
                )
            self._put_run(row)
            self._open.add(run.run)
        return before is not None

    def start_step(self, run: str, step: str, attempt: int, at_ms: int) -> None:
        """Records the start of an attempt."""
        started = self._started.setdefault((run, step), at_ms)
        with self._transaction():
            self._put_step(run, step, "running", attempt, started, None, None, None, None, "")

    def finish_step(self, run: str, step: str, end: StepEnd, result: Result | None, entries: Iterable[Entry]) -> None:
        """Records the end of a step and releases its claim. Row, attempts, reusable result and telemetry are committed
        together.
        """
        outputs = compact.dumps(end.outputs)
        error = compact.dumps(plain(end.error)) if end.error else None
        started = self._started.get((run, step), end.started_ms)
        with self._transaction():
            self._put_step(
                *(run, step, end.status, end.attempts, started, end.ended_ms, end.fingerprint, outputs, error, end.note)
            )
            for attempt in end.tries:
                self._put_attempt(run, step, attempt)
            if end.usage is not None:
                self._usage.add(end.usage)
            if result is not None:
                self._put_result(result, outputs)
            if end.fingerprint and end.status in GOOD:
                self._database.execute(PUT_LATEST, (end.pipeline, step, end.fingerprint))
            if end.fingerprint in self._claimed:
                self._database.execute(RELEASE, (end.fingerprint, run))
            self._put_entries(entries)
        self._started.pop((run, step), None)
        if end.fingerprint:
            self._claimed.discard(end.fingerprint)

    def adopt(self, result: Result) -> None:
        """Adds a result that was finished elsewhere and whose artifacts are in this store, for reuse."""
        with self._transaction():
            self._put_result(result, compact.dumps(result.outputs))

    def record(self, entries: Iterable[Entry]) -> None:
        """Commits telemetry."""
        with self._transaction():
            self._put_entries(entries)

    def finish_run(self, run: str, status: str, outputs: OutputValues, ended_ms: int, entries: Iterable[Entry]) -> None:
        """Records the end of a run and releases its claims."""
        with self._transaction():
            self._end_run(run, status, compact.dumps(outputs), ended_ms)
            self._put_entries(entries)

    def interrupt_all(self) -> None:
        """Marks every running run as interrupted at its last sign of life, for a copy of the state.

        Approvals for one run that no run has used do not count in the copy.
        """
        with self._transaction():
            for run, _, last in self._database.execute(OPEN_RUNS).fetchall():
                self._end_run(run, "interrupted", None, last)
            self._database.execute("DELETE FROM claims")
            self.approvals.revoke_unused(time.time_ns() // 1_000_000)

    def claim(self, fingerprint: str, run: str, step: str, at_ms: int) -> Claim | None:
        """Claims the work of a fingerprint for a step of a run. Returns None, or the claim that another run holds.

        A claim of a process that has exited, or of a finished run, is ignored.
        """
        if not fingerprint:
            return None
        with self._transaction():
            row = self._database.execute(CLAIMED, (fingerprint,)).fetchone()
            if row is not None:
                claim = Claim(*row)
                if (claim.run, claim.step) != (run, step) and self._holds(claim):
                    return claim
            self._database.execute(CLAIM, (fingerprint, run, step, self._holder, at_ms))
        self._claimed.add(fingerprint)
        return None

    @guarded
    def dead_runs(self) -> list[tuple[str, str, int]]:
        """Returns the runs recorded as running whose process has exited: id, holder, last sign of life in ms."""
        rows = self._database.execute(OPEN_RUNS)
        return [(run, holder, last) for run, holder, last in rows if not processes.process_alive(holder)]

    @guarded
    def reported_to(self, sink: str, run: str) -> list[str | None]:
        """Returns the trackers of a sink that know the run, or will."""
        return outbox.reported_to(self._database, sink, run)

    @guarded
    def outbox_size(self) -> int:
        """Returns the bytes of the waiting entries of the outbox, those of the open transaction included."""
        return quota.size(self._database)

    def thin(self, run: str) -> None:
        """Counts one value of a metric that was not recorded because the outbox was full."""
        with self._transaction():
            quota.thin(self._database, run)

    @guarded
    def end_waits(self) -> list[tuple[str, str | None]]:
        """Returns the sinks and trackers that miss the end of a run: its process died, or they were down."""
        return outbox.end_waits(self._database)

    def others_wrote(self) -> bool:
        """Returns whether another process has written since the last call."""
        before, self._data_version = self._data_version, self._database.execute("PRAGMA data_version").fetchone()[0]
        return bool(before != self._data_version)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commits all that is written inside together at the end, or nothing."""
        with self._transaction():
            yield

    @guarded
    def resumable(self, pipeline: str, plan: str, options: RecordedOptions) -> Unfinished | None:
        """Returns the run that ``resume`` would claim now."""
        return unfinished.find(self._database, pipeline, plan, options)

    def _run(self, run: str) -> RunRow | None:
        row = self._database.execute(f"SELECT {', '.join(RUN)} FROM runs WHERE run = ?", (run,)).fetchone()
        return RunRow(**dict(zip(RUN, row, strict=True))) if row is not None else None

    def _pauses(self, row: RunRow, until_ms: int) -> Sequence[Pause]:
        """Returns the pauses of a run that is resumed at ``until_ms``, including the last one."""
        seen = self._database.execute(f"SELECT {SEEN} FROM runs WHERE run = ?", (row.run,)).fetchone()[0]
        return [*pauses_of(row.provenance).pauses, (row.ended_ms or seen, until_ms)]

    def _refuse_held(self, row: RunRow) -> None:
        """Raises Refused when another live process executes the run."""
        if row.status != "running" or row.holder == self._holder or not processes.process_alive(row.holder):
            return
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_ms / 1000))
        pid, host = row.holder.partition(":")[0], row.host or "this machine"
        raise Refused(
            f"run {row.run} is being executed by process {pid} on {host} since {since}",
            code="run-held",
            hint=f"wait for the run (`e2i show {row.run} --watch`), or stop that process",
        )

    def _holds(self, claim: Claim) -> bool:
        row = self._database.execute("SELECT status FROM runs WHERE run = ?", (claim.run,)).fetchone()
        return (row is None or row[0] == "running") and processes.process_alive(claim.holder)

    def _put_run(self, row: RunRow) -> None:
        values = astuple(row)
        self._database.execute(PUT_RUN, (*values, checksum(values)))

    def _end_run(self, run: str, status: str, outputs: str | None, ended_ms: int) -> None:
        with self._transaction():
            row = self._run(run)
            if row is not None:
                self._put_run(replace(row, status=status, outputs=outputs, ended_ms=ended_ms))
            self._database.execute("DELETE FROM claims WHERE run = ?", (run,))
        self._open.discard(run)

    def _put_step(self, *values: SqlValue) -> None:
        self._database.execute(PUT_STEP, (*values, checksum(values)))

    def _put_attempt(self, run: str, step: str, attempt: RecordedAttempt) -> None:
        error = compact.dumps(plain(attempt.error)) if attempt.error else None
        row = (run, step, attempt.started_ms, attempt.number, attempt.ended_ms, attempt.seconds, error)
        self._database.execute(PUT_ATTEMPT, (*row, checksum(row)))

    def _put_result(self, result: Result, outputs: str) -> None:
        """``outputs``: those of the result as JSON."""
        components, telemetry = compact.dumps(result.components), compact.dumps(result.telemetry)
        inputs = (result.fingerprint, result.static_key, result.uses, components)
        values = (*inputs, outputs, telemetry, result.run, result.created_ms)
        self._database.execute(PUT_RESULT, (*values, checksum(values)))

    def _put_entries(self, entries: Iterable[Entry]) -> None:
        if found := list(entries):
            outbox.put(self._database, found)

    def _found_corrupt(self, row: sqlite3.Row) -> None:
        """Moves an altered result to the quarantine table, where it can be examined and is never reused."""
        with self._transaction():
            fingerprint = row["fingerprint"]
            self._database.execute(
                "INSERT INTO quarantined VALUES ('result', ?, ?, ?)",
                (fingerprint, ascii(tuple(row)), time.time_ns() // 1_000_000),
            )
            self._database.execute("DELETE FROM results WHERE fingerprint = ?", (fingerprint,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._is_writing():  # inside ``together``
            yield
            return
        if _inode(self.path) != self._file:
            raise StoreError(
                f"the store was moved or deleted while a run was using it: {self.path}",
                code="store-gone",
                hint="move it back and run again, or use its new path with --store DIR",
            )
        try:
            with transaction(self._database):
                yield
        except SQLITE_ERRORS as error:
            raise store_error(error, self.path) from error

    def _is_writing(self) -> bool:
        return self._database.in_transaction


def _with_pauses(provenance: str, pauses: Sequence[Pause]) -> str:
    return compact.dumps({**json.loads(provenance), PAUSES: pauses})


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
