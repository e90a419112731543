"""The journal's file goes in; what has happened comes out: results for plans, runs for people. Changes nothing."""

from __future__ import annotations

import functools
import itertools
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from e2i.catalog.artifacts import ARTIFACTS, Stored
from e2i.resilience import checksum
from e2i.resilience.processes import process_alive
from e2i.store import tables
from e2i.store.database import FILE, StoreError, complaints, guarded
from e2i.store.reading import is_whole, open_for_reading
from e2i.telemetry import outbox
from e2i.telemetry.entries import named

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


PAUSES = "pauses"
"""Under what name the provenance of a run in the state holds the times between an interruption and the resumption."""


class Waiting(Struct, frozen=True):
    """Entries that wait for one tracker, and the profile of a run which they are of."""

    sink: str
    target: str
    entries: int
    profile: str | None = None

    def seen_from(self, profile: str) -> dict[str, Any]:
        """The facts as they are reported under the settings of ``profile``, which do not name the tracker: the profile
        that may name it is another one, or not known.
        """
        named_by = self.profile if self.profile != profile else None
        return {"tool": self.sink, "waiting": self.entries, "tracker": named(self.target), "profile": named_by}


class NoHistory:
    """The history of a store that does not exist yet."""

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        return None

    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        return None

    def any_result(self, static_key: str) -> bool:
        return False

    def last(self, pipeline: str, step: str) -> dict[str, Any] | None:
        return None


class Results:
    """The finished results of a store; implements ``e2i.planning.build.History``. One that was altered is none."""

    def __init__(self, database: sqlite3.Connection, path: Path, is_there: Callable[[str], bool]) -> None:
        """``is_there`` tells whether the artifact of a digest is in the store."""
        self.path = path
        self._database = database
        self._is_there = is_there

    @guarded
    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        """What a step of that fingerprint gave, if that and its artifacts are there."""
        row = self._result(fingerprint)
        if row is None:
            return None
        outputs: dict[str, Any] = json.loads(row["outputs"])
        there = [self._is_there(digest) for digest in stored_digests(outputs)]  # all: each that is corrupt is told
        return outputs if all(there) else None

    @guarded
    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        """The run that finished that work, unless it was over before that time."""
        row = self._database.execute(MADE_SINCE, (fingerprint, at_ms)).fetchone()
        return str(row[0]) if row else None

    @guarded
    def any_result(self, static_key: str) -> bool:
        return self._database.execute(ANY_RESULT, (static_key,)).fetchone() is not None

    @guarded
    def last(self, pipeline: str, step: str) -> dict[str, Any] | None:
        """What decided the step's latest result, for saying what has changed since."""
        latest = self._database.execute(LATEST, (pipeline, step)).fetchone()
        row = self._result(latest[0]) if latest else None
        return json.loads(row["components"]) if row else None

    @guarded
    def waiting_by_tracker(self) -> list[Waiting]:
        """The entries of the outbox that wait, by the tracker that they are meant for."""
        return [Waiting(*row) for row in self._database.execute(WAITING_BY_TRACKER)]

    def _result(self, fingerprint: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._database.execute(RESULT, (fingerprint,)).fetchone()
        if row is None or checksum.is_intact(row):
            return row
        self._found_corrupt(row)
        return None

    def _found_corrupt(self, row: sqlite3.Row) -> None:
        """A result was altered: who only reads leaves it where it is."""

    def has_reopened(self) -> bool:
        """Never, where writers know of the connection."""
        return False


class Reader(Results):
    """Reads the journal. Changes nothing, not even a lock file."""

    def __init__(self, root: Path, is_there: Callable[[str], bool]) -> None:
        path = root / FILE
        super().__init__(open_for_reading(path), path, is_there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def has_reopened(self) -> bool:
        """Whether a writer came across what was read last, and the file was opened anew."""
        if is_whole(self._database):
            return False
        self._database.close()
        self._database = open_for_reading(self.path)
        return True

    @guarded
    def runs(self, limit: int = 50, pipeline: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
        """The latest runs, newest first; under ``steps`` how many of theirs came to what, pending ones included."""
        rows = self._database.execute(
            "SELECT run, pipeline, status, started_ms, ended_ms, file, profile, host, holder, provenance FROM runs"
            " WHERE typeof(started_ms) = 'integer' AND typeof(ended_ms) IN ('integer', 'null')"  # else it is corrupt
            " AND coalesce(?, pipeline) = pipeline AND coalesce(?, status) IN (status, 'interrupted')"
            " ORDER BY started_ms DESC, rowid DESC",
            (pipeline, status),
        )
        described = (_documented(dict(row)) for row in rows)
        found = list(itertools.islice((run for run in described if status in (None, run["status"])), limit))
        for run in found:
            pauses = pauses_of({"provenance": run.pop("provenance")})
            run |= {**_paused(pauses), "steps": self._counts(run)}
        return found

    @guarded
    def named(self, text: str, most: int = 10) -> list[str]:
        """The ids of the runs that are called so, or else that begin so, the newest first. ``last`` is the latest run,
        ``last~1`` the one before.
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
    def results_of(self, run: str) -> dict[str, dict[str, Any]]:
        """What is kept of the results of a run's steps, by fingerprint: ``components``, and the ``run`` they are of."""
        rows = self._database.execute(
            "SELECT DISTINCT results.* FROM steps JOIN results USING (fingerprint) WHERE steps.run = ?", (run,)
        )
        return {
            row["fingerprint"]: {"run": row["run"], "components": json.loads(row["components"])}
            for row in rows
            if checksum.is_intact(row)
        }

    @guarded
    def giving(self, digest: str) -> list[tuple[str, str]]:
        """(run, step) of the steps that gave something whose digest begins so, the newest first. Reads all rows."""
        rows = self._database.execute(
            "SELECT run, step FROM steps WHERE instr(outputs, ?) ORDER BY ended_ms DESC", (f'"digest":"{digest}',)
        )
        return [(row[0], row[1]) for row in rows]

    @guarded
    def waiting(self) -> dict[str, int]:
        """How many entries of the outbox wait for each sink."""
        rows = self._database.execute(f"SELECT sink, count(*) FROM outbox WHERE {outbox.WAITING} GROUP BY sink")
        return {row[0]: row[1] for row in rows}

    @guarded
    def refused(self) -> dict[str, int]:
        """How many entries of the outbox were set aside for each sink."""
        rows = self._database.execute("SELECT sink, count(*) FROM outbox WHERE state = 'dead-lettered' GROUP BY sink")
        return {row[0]: row[1] for row in rows}

    @guarded
    def last_failures(self, most: int = 10_000) -> dict[str, dict[str, Any]]:
        """By tool, the latest failed attempt among the last ``most``: run, step, uses, ended_ms, code, message; and how
        many went well after it.
        """
        uses = functools.cache(self._uses)
        well: Counter[str] = Counter()
        found: dict[str, dict[str, Any]] = {}
        rows = self._database.execute("SELECT * FROM attempts ORDER BY ended_ms DESC LIMIT ?", (most,)).fetchall()
        for row in filter(checksum.is_intact, rows):
            action = uses(row["run"]).get(row["step"], "")
            tool = action.partition(".")[0]
            if row["error"] is None:
                well[tool] += 1
            elif tool not in found:
                error = json.loads(row["error"])
                object_path = {"run": row["run"], "step": row["step"], "uses": action, "ended_ms": row["ended_ms"]}
                described = {"code": error["code"], "message": error["message"], "succeeded_since": well[tool]}
                found[tool] = {**object_path, **described}
        return found

    @guarded
    def run(self, run: str) -> dict[str, Any] | None:
        """Everything recorded of a run. Its steps are under ``steps`` in the order of the plan, each with what it
        ``uses`` and its attempts under ``tries``; a step that has not started is pending. ``corrupt`` names the rows
        that were altered since they were written. Raises StoreError when nothing can be told of the run.
        """
        row = self._database.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None:
            return None
        rows = self._database.execute("SELECT * FROM steps WHERE run = ?", (run,)).fetchall()
        corrupt = [] if checksum.is_intact(row) else [f"run {run}"]
        corrupt += [f"step {step['step']}" for step in rows if not checksum.is_intact(step)]
        tries = self._database.execute("SELECT * FROM attempts WHERE run = ?", (run,)).fetchall()
        corrupt += [f"attempt {one['attempt']} of step {one['step']}" for one in tries if not checksum.is_intact(one)]
        try:
            found = _documented(_parsed(row, ("params", "plan", "outputs", "included", "options", "provenance")))
            found |= _paused((found["provenance"] or {}).pop(PAUSES, []))
            attempts = _by_step(tries)
            steps = {step["step"]: {**_parsed(step, ("outputs", "error"))} for step in rows}
            found["steps"] = [
                {**(steps.get(step["id"]) or _pending(run, step["id"])), "uses": step["uses"],
                 "tries": attempts.get(step["id"], [])}
                for step in found["plan"]["steps"]
            ]  # fmt: skip
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"the records of run {run} are corrupt: {error} ({self.path})",
                code="state-altered",
                hint="run its spec again: finished steps are not repeated; `e2i doctor` names every corrupt record",
            ) from error
        return {**found, "corrupt": corrupt}

    @guarded
    def corruption(self) -> list[str]:
        """Everything that is wrong with the state, one sentence each; reads all of it."""
        found = [f"the file is corrupt: {said}" for said in complaints(self._database, "integrity_check")]
        for table, name in tables.CHECKSUMMED.items():
            kind = table.removesuffix("s")
            rows = self._database.execute(f"SELECT {name} AS called, {table}.* FROM {table} ORDER BY 1")
            found += [f"the {kind} {row[0]} was altered" for row in rows if not checksum.is_intact(tuple(row)[1:])]
        return found + outbox.corruption(self._database)

    @guarded
    def quarantined(self) -> list[str]:
        """The records that were found altered and are not used any more, one sentence each."""
        rows = self._database.execute("SELECT what, name FROM quarantined ORDER BY at_ms, name")
        found = [f"the {row[0]} {row[1]} was altered, and was set aside" for row in rows]
        return found + outbox.dead_lettered(self._database)

    def _uses(self, run: str) -> dict[str, str]:
        """The action of each step of a run, as far as its plan can be read."""
        row = self._database.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None or not checksum.is_intact(row):
            return {}
        return {step["id"]: step["uses"] for step in json.loads(row["plan"])["steps"]}

    def _counts(self, run: Mapping[str, Any]) -> dict[str, int]:
        rows = self._database.execute(
            "SELECT status, count(*) FROM steps WHERE run = ? GROUP BY status ORDER BY status", (run["run"],)
        )
        counts = {row[0]: row[1] for row in rows}
        if run["status"] != "running" and "running" in counts:
            counts["interrupted"] = counts.pop("running")
        plan = self._database.execute(
            "SELECT CASE WHEN json_valid(plan) THEN json_array_length(plan, '$.steps') END FROM runs WHERE run = ?",
            (run["run"],),
        ).fetchone()
        pending = (plan[0] or 0) - sum(counts.values())
        return {**counts, "pending": pending} if pending > 0 else counts


def stored_digests(value: Any) -> Iterator[str]:
    """The digests of all stored artifacts in plain data."""
    if isinstance(value, dict):
        kind = ARTIFACTS.get(str(value.get("type")))
        if kind is not None and issubclass(kind, Stored) and "digest" in value:
            yield value["digest"]
        for item in value.values():
            yield from stored_digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from stored_digests(item)


def pauses_of(row: Mapping[str, Any]) -> list[list[int]]:
    """When a run was not carried out between its start and its end, as [from, until] in ms; none in a corrupt row."""
    try:
        pauses = json.loads(row["provenance"]).get(PAUSES, [])
        return [[int(start), int(until)] for start, until in pauses]
    except (ValueError, TypeError, AttributeError):
        return []


def _paused(pauses: Sequence[Sequence[int]]) -> dict[str, int | None]:
    """How long a run was not carried out, and when it was resumed last."""
    return {
        "paused_ms": sum(until - start for start, until in pauses),
        "resumed_ms": pauses[-1][1] if pauses else None,
    }


def _documented(found: dict[str, Any]) -> dict[str, Any]:
    """A run as it is told: one that was running in a process that has gone was interrupted."""
    holder = str(found.pop("holder"))
    if found["status"] == "running" and not process_alive(holder):
        found["status"] = "interrupted"
    return found


def _parsed(row: sqlite3.Row, documents: Sequence[str]) -> dict[str, Any]:
    """A row with its JSON read, and without its checksum."""
    found = {key: row[key] for key in row.keys() if key != "checksum"}  # noqa: SIM118 - iterating a row gives its values
    for name in documents:
        found[name] = json.loads(found[name]) if found[name] else None
    return found


def _by_step(rows: Iterable[sqlite3.Row]) -> dict[str, list[dict[str, Any]]]:
    """Attempts by the step that they are of."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        attempt = _parsed(row, ("error",))
        del attempt["run"]
        found.setdefault(attempt.pop("step"), []).append(attempt)
    return found


def _pending(run: str, step: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("started_ms", "ended_ms", "fingerprint", "outputs", "error"))
    return {"run": run, "step": step, "status": "pending", "attempts": 0, **unknown, "note": ""}
