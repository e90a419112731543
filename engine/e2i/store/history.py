"""Read the run store: results for plans, runs for people. Changes nothing."""

from __future__ import annotations

import functools
import itertools
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from msgspec import Meta, Struct

from e2i import compact
from e2i.catalog.artifacts import ARTIFACTS, Stored
from e2i.catalog.step_error import ErrorDocument
from e2i.documents import Element, OutputValues
from e2i.planning.inputs import Components
from e2i.resilience import checksum
from e2i.store import assembly, deferred, tables
from e2i.store.approvals import ApprovalRow, ApprovalTable
from e2i.store.database import FILE, StoreError, complaints, guarded
from e2i.store.deferred import Deferred
from e2i.store.past import KeptResult, LastFailure, ListedRun, RecordedRun, RunStatus
from e2i.store.reading import is_whole, open_for_reading
from e2i.store.rows import Result
from e2i.store.usage import Usage, UsageTable
from e2i.telemetry import outbox
from e2i.telemetry.entries import named

T = TypeVar("T")

RESULT = "SELECT * FROM results WHERE fingerprint = ?"
ANY_RESULT = "SELECT 1 FROM results WHERE static_key = ? LIMIT 1"
MADE_SINCE = (
    "SELECT results.run FROM results LEFT JOIN runs USING (run)"
    " WHERE fingerprint = ? AND (runs.ended_ms IS NULL OR runs.ended_ms > ?)"
)
_LATEST_BUT = re.compile(r"last(?:~(\d{1,6}))?")
LATEST = "SELECT fingerprint FROM latest WHERE pipeline = ? AND step = ?"


WAITING_BY_TRACKER = (
    "SELECT outbox.sink, outbox.target, count(*), max(runs.profile) FROM outbox LEFT JOIN runs USING (run)"
    f" WHERE {outbox.WAITING} AND target IS NOT NULL GROUP BY outbox.sink, outbox.target"
    " ORDER BY outbox.sink, outbox.target"
)


class Waiting(Struct, frozen=True):
    """Entries that wait for one tracker, and the profile of one of their runs."""

    sink: str
    target: str
    entries: int
    profile: str | None = None

    def seen_from(self, profile: str) -> WaitingElsewhere:
        """Returns the entries under the settings of ``profile``, which do not name the tracker. The profile that may
        name it is another one, or unknown.
        """
        named_by = self.profile if self.profile != profile else None
        return WaitingElsewhere(tool=self.sink, waiting=self.entries, tracker=named(self.target), profile=named_by)


class WaitingElsewhere(Element, frozen=True, kw_only=True):
    """Entries for another tracker than the one in the settings."""

    tool: str
    waiting: Annotated[int, Meta(ge=1, description="Number of entries.")]
    tracker: Annotated[str, Meta(description="Address of the tracker, without credentials.")]
    profile: Annotated[str | None, Meta(description="The profile whose `e2i sync` delivers them, if it is known.")]


class NoHistory:
    """The history of a store that does not exist yet."""

    def outputs(self, fingerprint: str) -> OutputValues | None:
        return None

    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        return None

    def any_result(self, static_key: str) -> bool:
        return False

    def last(self, pipeline: str, step: str) -> Components | None:
        return None


class Results:
    """The finished results of a store. Implements ``e2i.planning.build.History``. Altered results are ignored."""

    def __init__(self, database: sqlite3.Connection, path: Path, is_there: Callable[[str], bool]) -> None:
        """``is_there`` returns whether the artifact of a digest is in the store."""
        self.path = path
        self._database = database
        self._is_there = is_there

    @guarded
    def outputs(self, fingerprint: str) -> OutputValues | None:
        """Returns the outputs for a fingerprint, if the result and its artifacts are in the store."""
        row = self._result(fingerprint)
        if row is None:
            return None
        outputs = OutputValues(json.loads(row["outputs"]))
        there = [
            self._is_there(digest) for digest in stored_digests(outputs)
        ]  # all, so that each corrupt one is reported
        return outputs if all(there) else None

    @guarded
    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        """Returns the run that produced the result, unless the run ended before that time."""
        row = self._database.execute(MADE_SINCE, (fingerprint, at_ms)).fetchone()
        return str(row[0]) if row else None

    @guarded
    def made_ms(self, fingerprint: str) -> int | None:
        """Returns when the result was made."""
        row = self._database.execute("SELECT created_ms FROM results WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return int(row[0]) if row else None

    @guarded
    def usage(self, pipeline: str) -> tuple[list[Usage], dict[str, float]]:
        """Returns what finished steps took, newest first, and the seconds of the newest runs of a pipeline."""
        table = UsageTable(self._database)
        return table.rows(), table.spans(pipeline)

    @guarded
    def any_result(self, static_key: str) -> bool:
        return self._database.execute(ANY_RESULT, (static_key,)).fetchone() is not None

    @guarded
    def last(self, pipeline: str, step: str) -> Components | None:
        """Returns the inputs of the step's latest result, to report what has changed since."""
        latest = self._database.execute(LATEST, (pipeline, step)).fetchone()
        row = self._result(latest[0]) if latest else None
        return compact.loads(row["components"], Components) if row else None

    @guarded
    def waiting_by_tracker(self) -> list[Waiting]:
        """Returns the waiting entries of the outbox by tracker."""
        return [Waiting(*row) for row in self._database.execute(WAITING_BY_TRACKER)]

    def _result(self, fingerprint: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._database.execute(RESULT, (fingerprint,)).fetchone()
        if row is None or checksum.is_intact(row):
            return row
        self._found_corrupt(row)
        return None

    def _found_corrupt(self, row: sqlite3.Row) -> None:
        """Handles an altered result. A reader leaves it unchanged."""

    def has_reopened(self) -> bool:
        """Returns False: writers know of this connection."""
        return False


class Reader(Results):
    """Reads the run store. Changes nothing, not even a lock file."""

    def __init__(self, root: Path, is_there: Callable[[str], bool]) -> None:
        path = root / FILE
        super().__init__(open_for_reading(path), path, is_there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def has_reopened(self) -> bool:
        """Returns whether a writer changed what was just read. Then the file was reopened."""
        if is_whole(self._database):
            return False
        self._database.close()
        self._database = open_for_reading(self.path)
        return True

    @guarded
    def runs(self, limit: int = 50, pipeline: str | None = None, status: str | None = None) -> list[ListedRun]:
        """Returns the latest runs, newest first. ``steps`` counts the steps in each status, pending ones included."""
        rows = self._database.execute(
            "SELECT run, pipeline, status, started_ms, ended_ms, file, profile, host, holder, provenance, params,"
            " outputs, plan FROM runs"
            " WHERE typeof(started_ms) = 'integer' AND typeof(ended_ms) IN ('integer', 'null')"  # else corrupt
            " AND coalesce(?, pipeline) = pipeline AND coalesce(?, status) IN (status, 'interrupted')"
            " ORDER BY started_ms DESC, rowid DESC",
            (pipeline, status),
        )
        described = ((row, assembly.status_of(row)) for row in rows)
        found = itertools.islice(((row, now) for row, now in described if status in (None, now)), limit)
        return [self._listed(row, now) for row, now in list(found)]

    @guarded
    def named(self, text: str, most: int = 10) -> list[str]:
        """Returns the ids of the runs with this id or prefix, newest first.

        ``last`` is the latest run, ``last~1`` the one before.
        """
        if self._database.execute("SELECT 1 FROM runs WHERE run = ?", (text,)).fetchone():
            return [text]
        values: tuple[str | int, ...] = (text, text, most)
        condition = "substr(run, 1, length(?)) = ? LIMIT ?"
        if (latest := _LATEST_BUT.fullmatch(text)) is not None:
            condition, values = "true ORDER BY started_ms DESC, rowid DESC LIMIT 1 OFFSET ?", (int(latest[1] or 0),)
        rows = self._database.execute(f"SELECT run FROM runs WHERE {condition}", values)
        return sorted((row[0] for row in rows), reverse=True)

    @guarded
    def results_of(self, run: str) -> dict[str, KeptResult]:
        """Returns the kept results of a run's steps by fingerprint."""
        rows = self._database.execute(
            "SELECT DISTINCT results.* FROM steps JOIN results USING (fingerprint) WHERE steps.run = ?", (run,)
        )
        return {
            row["fingerprint"]: KeptResult(run=row["run"], components=compact.loads(row["components"], Components))
            for row in rows
            if checksum.is_intact(row)
        }

    @guarded
    def made_before(self, actions: Collection[str], run: str) -> tuple[Components, ...]:
        """Returns the inputs of the kept results of these actions that other runs made before a run began."""
        rows = self._database.execute(
            f"SELECT results.* FROM results, runs WHERE runs.run = ? AND results.run <> runs.run"
            f" AND created_ms < runs.started_ms AND uses IN ({', '.join('?' * len(actions))}) ORDER BY fingerprint",
            (run, *actions),
        )
        return tuple(compact.loads(row["components"], Components) for row in rows if checksum.is_intact(row))

    @guarded
    def giving(self, digest: str) -> list[tuple[str, str]]:
        """Returns (run, step) of the steps with an output whose digest begins so, newest first. Reads all rows."""
        rows = self._database.execute(
            "SELECT run, step FROM steps WHERE instr(outputs, ?) ORDER BY ended_ms DESC", (f'"digest":"{digest}',)
        )
        return [(row[0], row[1]) for row in rows]

    @guarded
    def waiting(self) -> dict[str, int]:
        """Returns the number of waiting entries of the outbox for each sink."""
        rows = self._database.execute(f"SELECT sink, count(*) FROM outbox WHERE {outbox.WAITING} GROUP BY sink")
        return {row[0]: row[1] for row in rows}

    @guarded
    def refused(self) -> dict[str, int]:
        """Returns the number of dead-lettered entries of the outbox for each sink."""
        rows = self._database.execute("SELECT sink, count(*) FROM outbox WHERE state = 'dead-lettered' GROUP BY sink")
        return {row[0]: row[1] for row in rows}

    @guarded
    def deferred(self) -> list[Deferred]:
        """Returns the runs whose deferred steps are still to be done, oldest first."""
        return deferred.find(self._database)

    @guarded
    def outbox(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what ``read``, a function of ``e2i.telemetry.inspection``, finds in the outbox."""
        return read(self._database)

    @guarded
    def approvals(self, plan: str | None = None) -> tuple[list[ApprovalRow], int]:
        """Returns the approvals of a plan, by its digest, or all; and the latest time that the store has recorded."""
        table = ApprovalTable(self._database)
        return table.rows(plan), table.latest_ms()

    @guarded
    def last_failures(self, most: int = 10_000) -> dict[str, LastFailure]:
        """Returns the latest failed attempt of each tool, among the last ``most`` attempts."""
        uses = functools.cache(self._uses)
        succeeded: Counter[str] = Counter()
        found: dict[str, LastFailure] = {}
        rows = self._database.execute("SELECT * FROM attempts ORDER BY ended_ms DESC LIMIT ?", (most,)).fetchall()
        for row in filter(checksum.is_intact, rows):
            action = uses(row["run"]).get(row["step"], "")
            tool = action.partition(".")[0]
            if row["error"] is None:
                succeeded[tool] += 1
            elif tool not in found:
                error = compact.loads(row["error"], ErrorDocument)
                found[tool] = LastFailure(
                    run=row["run"],
                    step=row["step"],
                    uses=action,
                    ended_ms=row["ended_ms"],
                    code=error.code,
                    message=error.message,
                    succeeded_since=succeeded[tool],
                )
        return found

    @guarded
    def run(self, run: str) -> RecordedRun | None:
        """Returns everything recorded of a run; rows that were altered are named in ``corrupt``.

        Raises StoreError when the run cannot be read.
        """
        row = self._database.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None:
            return None
        steps = self._database.execute("SELECT * FROM steps WHERE run = ?", (run,)).fetchall()
        attempts = self._database.execute("SELECT * FROM attempts WHERE run = ?", (run,)).fetchall()
        try:
            return assembly.recorded(row, steps, attempts)
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"the records of run {run} are corrupt: {error} ({self.path})",
                code="state-altered",
                hint="run the spec again: finished steps are not run again; `e2i doctor` lists every corrupt record",
            ) from error

    @guarded
    def corruption(self) -> list[str]:
        """Returns all corruption of the state, one sentence each. Reads all of it."""
        found = [f"the file is corrupt: {problem}" for problem in complaints(self._database, "integrity_check")]
        for table, name in tables.CHECKSUMMED.items():
            kind = table.removesuffix("s")
            rows = self._database.execute(f"SELECT {name} AS called, {table}.* FROM {table} ORDER BY 1")
            found += [f"the {kind} {row[0]} was altered" for row in rows if not checksum.is_intact(tuple(row)[1:])]
        return found + outbox.corruption(self._database)

    @guarded
    def quarantined(self) -> list[str]:
        """Returns the records that were found altered and are no longer used, one sentence each."""
        rows = self._database.execute("SELECT what, name FROM quarantined ORDER BY at_ms, name")
        found = [f"the {row[0]} {row[1]} was altered and is quarantined" for row in rows]
        return found + outbox.dead_lettered(self._database)

    def _uses(self, run: str) -> dict[str, str]:
        """Returns the action of each step of a run, if its plan can be read."""
        row = self._database.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        return assembly.actions(row) if row is not None and checksum.is_intact(row) else {}

    def _listed(self, row: sqlite3.Row, status: RunStatus) -> ListedRun:
        return assembly.listed(row, status, self._counts(row["run"], status), self._errors(row["run"]))

    def _errors(self, run: str) -> list[sqlite3.Row]:
        """Returns the rows of a run's steps that have an error."""
        return self._database.execute(
            "SELECT step, status, error FROM steps WHERE run = ? AND error IS NOT NULL ORDER BY ended_ms, step", (run,)
        ).fetchall()

    def _counts(self, run: str, status: str) -> dict[str, int]:
        """Returns the number of steps in each status, for a run in that status."""
        rows = self._database.execute(
            "SELECT status, count(*) FROM steps WHERE run = ? GROUP BY status ORDER BY status", (run,)
        )
        counts = {row[0]: row[1] for row in rows}
        if status != "running" and "running" in counts:
            counts["interrupted"] = counts.pop("running")
        planned = self._database.execute(
            "SELECT CASE WHEN json_valid(plan) THEN json_array_length(plan, '$.steps') END FROM runs WHERE run = ?",
            (run,),
        ).fetchone()
        pending = (planned[0] or 0 if planned else 0) - sum(counts.values())  # a corrupt index may not find the run
        return {**counts, "pending": pending} if pending > 0 else counts


def digests_of(result: Result) -> list[str]:
    """Returns the digests of the stored artifacts in the outputs and the telemetry of a result, sorted."""
    return sorted(set(stored_digests([result.outputs, *(body for _, body in result.telemetry)])))


def stored_digests(value: Any) -> Iterator[str]:
    """Yields the digests of all stored artifacts in plain data."""
    if isinstance(value, dict):
        kind = ARTIFACTS.get(str(value.get("type")))
        if kind is not None and issubclass(kind, Stored) and "digest" in value:
            yield value["digest"]
        for item in value.values():
            yield from stored_digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from stored_digests(item)
