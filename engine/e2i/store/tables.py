"""The tables of a store's state, and how those of an older version become today's.

In: a connection inside a transaction. Out: the tables of ``SCHEMA_VERSION``. The tables of the outbox are its own.
"""

from __future__ import annotations

import sqlite3

from e2i.resilience import outbox
from e2i.resilience.checksum import SqlValue, checksum

SCHEMA_VERSION = 3

NAMES = ("runs", "steps", "attempts", "results", "latest", "claims", "pins", "damaged")
"""The tables that every store of this version has."""

CHECKSUMMED = {
    "runs": "run",
    "steps": "run || '.' || step",
    "attempts": "run || '.' || step || ' (' || attempt || ')'",
    "results": "fingerprint",
}
"""Tables whose rows end with a seal, and what a row is called by. The outbox seals its own."""

TABLES = """
CREATE TABLE runs (
    run TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER,
    holder TEXT NOT NULL, file TEXT NOT NULL, spec TEXT NOT NULL, profile TEXT NOT NULL, params TEXT NOT NULL,
    plan TEXT NOT NULL, outputs TEXT, host TEXT NOT NULL DEFAULT '', parts TEXT NOT NULL DEFAULT '{}',
    options TEXT NOT NULL DEFAULT '{}', provenance TEXT NOT NULL DEFAULT '{}', seal TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_time ON runs (started_ms);
CREATE TABLE steps (
    run TEXT NOT NULL, step TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    started_ms INTEGER, ended_ms INTEGER, fingerprint TEXT, outputs TEXT, error TEXT, note TEXT NOT NULL DEFAULT '',
    seal TEXT NOT NULL DEFAULT '', PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE results (
    fingerprint TEXT PRIMARY KEY, static_key TEXT NOT NULL, uses TEXT NOT NULL, components TEXT NOT NULL,
    outputs TEXT NOT NULL, telemetry TEXT NOT NULL, run TEXT NOT NULL, created_ms INTEGER NOT NULL,
    seal TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX results_by_static_key ON results (static_key);
CREATE TABLE latest (
    pipeline TEXT NOT NULL, step TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (pipeline, step)
) WITHOUT ROWID;
"""

SINCE_2 = """
CREATE INDEX runs_open ON runs (run) WHERE status = 'running';
CREATE TABLE attempts (
    run TEXT NOT NULL, step TEXT NOT NULL, started_ms INTEGER NOT NULL, attempt INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL, seconds REAL NOT NULL, error TEXT, seal TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run, step, started_ms, attempt)
) WITHOUT ROWID;
CREATE TABLE claims (
    fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, holder TEXT NOT NULL, at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pins (run TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE damaged (what TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, at_ms INTEGER NOT NULL);
"""

SINCE_3 = """
CREATE INDEX runs_unfinished ON runs (pipeline, started_ms) WHERE status != 'succeeded';
"""

FROM_1 = """
ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN parts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN provenance TEXT NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN seal TEXT NOT NULL DEFAULT '';
DELETE FROM steps WHERE status = 'pending';
ALTER TABLE steps DROP COLUMN uses;
ALTER TABLE steps ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN seal TEXT NOT NULL DEFAULT '';
ALTER TABLE results ADD COLUMN seal TEXT NOT NULL DEFAULT '';
"""
"""What a step uses stands in the plan of its run, and a step without a row is pending."""

ATTEMPTS_FROM_2 = """
ALTER TABLE attempts ADD COLUMN seal TEXT NOT NULL DEFAULT '';
"""
OUTBOX_FROM_2 = """
ALTER TABLE outbox ADD COLUMN seal TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN target TEXT DEFAULT NULL;
"""


def version(database: sqlite3.Connection) -> int:
    """Which version wrote the tables; 0: there are none yet."""
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    return found


def bring_up_to_date(database: sqlite3.Connection) -> None:
    """Makes the tables, or makes today's of older ones, as part of the open transaction."""
    match version(database):
        case 1:
            _execute(database, FROM_1 + SINCE_2 + OUTBOX_FROM_2 + SINCE_3)
            _checksum(database, *CHECKSUMMED)
        case 2:
            _execute(database, ATTEMPTS_FROM_2 + OUTBOX_FROM_2 + SINCE_3)
            _checksum(database, "attempts")
        case _:
            _execute(database, TABLES + SINCE_2 + SINCE_3 + outbox.TABLES)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns, in order."""
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def _checksum(database: sqlite3.Connection, *names: str) -> None:
    """Seals the rows of these tables, and those of the outbox."""

    def checksum_of(*values: SqlValue) -> str:
        return checksum(values)

    database.create_function("seal", -1, checksum_of, deterministic=True)
    for table in names:
        content = ", ".join(columns(database, table)[:-1])
        database.execute(f"UPDATE {table} SET seal = seal({content})")
    database.execute(f"UPDATE outbox SET seal = seal({outbox.COVERED}) WHERE body != '{outbox.SETTLED}'")


def _execute(database: sqlite3.Connection, script: str) -> None:
    """Like ``executescript``, which would commit first."""
    for statement in script.split(";\n"):
        if statement.strip():
            database.execute(statement)
