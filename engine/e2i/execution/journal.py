"""What has happened, durably: runs, their steps and the results that may be reused, in one SQLite file of the store.

In: transitions, each committed before it is acted on. Out: history for plans, records for people, telemetry for the
outbox.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from e2i.catalog.artifacts import ARTIFACTS, Stored
from e2i.catalog.telemetry import Entry
from e2i.errors import E2IError, Exit
from e2i.resilience import outbox

SCHEMA_VERSION = 1
FILE = "state.db"

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER,
    holder TEXT NOT NULL, file TEXT NOT NULL, spec TEXT NOT NULL, profile TEXT NOT NULL, params TEXT NOT NULL,
    plan TEXT NOT NULL, outputs TEXT
);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (started_ms);
CREATE TABLE IF NOT EXISTS steps (
    run TEXT NOT NULL, step TEXT NOT NULL, uses TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT
    0, started_ms INTEGER, ended_ms INTEGER, fingerprint TEXT, outputs TEXT, error TEXT, PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    fingerprint TEXT PRIMARY KEY, static_key TEXT NOT NULL, uses TEXT NOT NULL, components TEXT NOT NULL,
    outputs TEXT NOT NULL, telemetry TEXT NOT NULL, run TEXT NOT NULL, created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_by_static_key ON results (static_key);
CREATE TABLE IF NOT EXISTS latest (
    pipeline TEXT NOT NULL, step TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (pipeline, step)
) WITHOUT ROWID;
"""


class StoreError(E2IError):
    """The store cannot be used: not writable, damaged, or written by a newer version."""

    exit_code = Exit.UNAVAILABLE


class NoHistory:
    """The history of a store that does not exist yet."""

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        return None

    def any_result(self, static_key: str) -> bool:
        return False

    def last(self, pipeline: str, step: str) -> dict[str, Any] | None:
        return None


class Reader:
    """Reads the journal; implements ``e2i.planning.build.History``. Changes nothing, not even a lock file."""

    def __init__(self, root: Path, is_there: Callable[[str], bool]) -> None:
        path = root / FILE
        # Without a write-ahead log nobody is writing, and SQLite need not make the files that it shares with writers.
        mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
        self._is_there = is_there
        self._database = _connect(f"{path.resolve().as_uri()}?{mode}", path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        return _outputs(self._database, fingerprint, self._is_there)

    def any_result(self, static_key: str) -> bool:
        return _any_result(self._database, static_key)

    def last(self, pipeline: str, step: str) -> dict[str, Any] | None:
        return _last(self._database, pipeline, step)

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        rows = self._database.execute(
            "SELECT run, pipeline, status, started_ms, ended_ms, file, profile, holder FROM runs"
            " ORDER BY started_ms DESC LIMIT ?",
            (limit,),
        )
        return [_told(row) for row in rows]

    def waiting(self) -> dict[str, int]:
        """How many entries of the outbox wait for each sink."""
        rows = self._database.execute("SELECT sink, count(*) FROM outbox WHERE state = 'waiting' GROUP BY sink")
        return {row[0]: row[1] for row in rows}

    def run(self, run: str) -> dict[str, Any] | None:
        """Everything recorded of a run, its steps under ``steps`` in the order of the plan."""
        row = self._database.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None:
            return None
        found = _told(row)
        for name in ("params", "plan", "outputs"):
            found[name] = json.loads(found[name]) if found[name] else None
        steps = {
            step["step"]: {
                **dict(step),
                "outputs": json.loads(step["outputs"]) if step["outputs"] else None,
                "error": json.loads(step["error"]) if step["error"] else None,
            }
            for step in self._database.execute("SELECT * FROM steps WHERE run = ?", (run,))
        }
        order = [step["id"] for step in found["plan"]["steps"]]
        found["steps"] = [steps[name] for name in order if name in steps]
        return found


class Journal:
    """Writes the journal. One object belongs to one thread; several processes may have the store open."""

    def __init__(self, root: Path, is_there: Callable[[str], bool]) -> None:
        self.path = root / FILE
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = _connect(str(self.path), self.path)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA busy_timeout = 30000")
            if self._database.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._database.executescript(TABLES + outbox.TABLES + f"PRAGMA user_version = {SCHEMA_VERSION};")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"the store {root} cannot be written: {error}",
                code="store-not-writable",
                hint="choose another folder by --store DIR or E2I_STORE",
            ) from error
        self._is_there = is_there

    def close(self) -> None:
        self._database.close()

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        return _outputs(self._database, fingerprint, self._is_there)

    def any_result(self, static_key: str) -> bool:
        return _any_result(self._database, static_key)

    def last(self, pipeline: str, step: str) -> dict[str, Any] | None:
        return _last(self._database, pipeline, step)

    def telemetry(self, fingerprint: str) -> list[tuple[str, dict[str, Any]]]:
        """What a finished step measured, as (kind, body)."""
        row = self._database.execute("SELECT telemetry FROM results WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return [(kind, body) for kind, body in json.loads(row["telemetry"])] if row else []

    def start_run(self, run: Mapping[str, Any], steps: Iterable[tuple[str, str]]) -> None:
        """A run begins: its row, and one pending row a step. A run that is resumed keeps when it was started first."""
        names = ("run", "pipeline", "status", "started_ms", "holder", "file", "spec", "profile", "params", "plan")
        with self._transaction():
            self._database.execute(
                f"INSERT INTO runs ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
                " ON CONFLICT (run) DO UPDATE SET status = excluded.status, holder = excluded.holder,"
                " plan = excluded.plan, ended_ms = NULL",
                [run[name] for name in names],
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO steps (run, step, uses, status) VALUES (?, ?, ?, 'pending')",
                [(run["run"], step, uses) for step, uses in steps],
            )

    def start_step(self, run: str, step: str, attempt: int, at_ms: int) -> None:
        with self._transaction():
            self._database.execute(
                "UPDATE steps SET status = 'running', attempts = ?, started_ms = coalesce(started_ms, ?)"
                " WHERE run = ? AND step = ?",
                (attempt, at_ms, run, step),
            )

    def finish_step(
        self,
        run: str,
        step: str,
        facts: Mapping[str, Any],
        result: Mapping[str, Any] | None,
        entries: Iterable[Entry],
    ) -> None:
        """A step is over. Its row, its reusable result and its telemetry become durable together, or not at all."""
        with self._transaction():
            self._database.execute(
                "UPDATE steps SET status = ?, ended_ms = ?, fingerprint = ?, outputs = ?, error = ?, attempts = ?"
                " WHERE run = ? AND step = ?",
                (
                    facts["status"],
                    facts["ended_ms"],
                    facts["fingerprint"],
                    _dump(facts["outputs"]),
                    _dump(facts["error"]) if facts["error"] else None,
                    facts["attempts"],
                    run,
                    step,
                ),
            )
            if result is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        result["fingerprint"],
                        result["static_key"],
                        result["uses"],
                        _dump(result["components"]),
                        _dump(facts["outputs"]),
                        _dump(result["telemetry"]),
                        run,
                        facts["ended_ms"],
                    ),
                )
            if facts["fingerprint"] and facts["status"] in ("succeeded", "reused"):
                self._database.execute(
                    "INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (facts["pipeline"], step, facts["fingerprint"])
                )
            outbox.put(self._database, entries)

    def record(self, entries: Iterable[Entry]) -> None:
        """Makes telemetry durable."""
        with self._transaction():
            outbox.put(self._database, entries)

    def finish_run(
        self, run: str, status: str, outputs: Mapping[str, Any], ended_ms: int, entries: Iterable[Entry]
    ) -> None:
        with self._transaction():
            self._database.execute(
                "UPDATE runs SET status = ?, ended_ms = ?, outputs = ? WHERE run = ?",
                (status, ended_ms, _dump(outputs), run),
            )
            outbox.put(self._database, entries)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"the store cannot be written: {error} ({self.path})",
                code="store-not-writable",
                hint="free some space, or choose another folder by --store DIR; the run can be resumed",
            ) from error


def _connect(target: str, path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(target, uri=target.startswith("file:"), isolation_level=None)
        database.row_factory = sqlite3.Row
        version = database.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(
            f"the state of the store is not readable: {error} ({path})",
            code="store-damaged",
            hint="move the file away: results are found again as far as their steps are carried out again",
        ) from error
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer version of e2i (state version {version}, this one knows {SCHEMA_VERSION})",
            code="store-too-new",
            hint="upgrade e2i, or choose another folder by --store DIR",
        )
    return database


def _told(row: sqlite3.Row) -> dict[str, Any]:
    """A run's row as it is told: one that was running in a process that has gone was interrupted."""
    found = dict(row)
    if not outbox.process_alive(found.pop("holder")) and found["status"] == "running":
        found["status"] = "interrupted"
    return found


def _outputs(database: sqlite3.Connection, fingerprint: str, is_there: Callable[[str], bool]) -> dict[str, Any] | None:
    row = database.execute("SELECT outputs FROM results WHERE fingerprint = ?", (fingerprint,)).fetchone()
    if row is None:
        return None
    outputs: dict[str, Any] = json.loads(row["outputs"])
    return outputs if all(is_there(digest) for digest in stored_digests(outputs)) else None


def _any_result(database: sqlite3.Connection, static_key: str) -> bool:
    return database.execute("SELECT 1 FROM results WHERE static_key = ? LIMIT 1", (static_key,)).fetchone() is not None


def _last(database: sqlite3.Connection, pipeline: str, step: str) -> dict[str, Any] | None:
    row = database.execute(
        "SELECT components FROM latest JOIN results USING (fingerprint) WHERE pipeline = ? AND step = ?",
        (pipeline, step),
    ).fetchone()
    return json.loads(row["components"]) if row else None


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


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
