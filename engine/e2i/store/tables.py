"""The tables of a store's state.

In: a connection inside a transaction. Out: the tables of ``SCHEMA_VERSION``. The outbox defines its own tables.
"""

from __future__ import annotations

import sqlite3

from e2i.telemetry import outbox

SCHEMA_VERSION = 1

NAMES = ("runs", "steps", "attempts", "results", "latest", "claims", "pins", "quarantined")
"""The tables that every store of this version has."""

CHECKSUMMED = {
    "runs": "run",
    "steps": "run || '.' || step",
    "attempts": "run || '.' || step || ' (' || attempt || ')'",
    "results": "fingerprint",
}
"""Tables whose rows end with a checksum, with an SQL expression for the name of a row. The outbox has its own
checksums.
"""

TABLES = """
CREATE TABLE runs (
    run TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER,
    holder TEXT NOT NULL, file TEXT NOT NULL, spec TEXT NOT NULL, profile TEXT NOT NULL, params TEXT NOT NULL,
    plan TEXT NOT NULL, outputs TEXT, host TEXT NOT NULL DEFAULT '', included TEXT NOT NULL DEFAULT '{}',
    options TEXT NOT NULL DEFAULT '{}', provenance TEXT NOT NULL DEFAULT '{}', checksum TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs (started_ms);
CREATE INDEX runs_open ON runs (run) WHERE status = 'running';
CREATE INDEX runs_unfinished ON runs (pipeline, started_ms) WHERE status != 'succeeded';
CREATE TABLE steps (
    run TEXT NOT NULL, step TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    started_ms INTEGER, ended_ms INTEGER, fingerprint TEXT, outputs TEXT, error TEXT, note TEXT NOT NULL DEFAULT '',
    checksum TEXT NOT NULL, PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE attempts (
    run TEXT NOT NULL, step TEXT NOT NULL, started_ms INTEGER NOT NULL, attempt INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL, seconds REAL NOT NULL, error TEXT, checksum TEXT NOT NULL,
    PRIMARY KEY (run, step, started_ms, attempt)
) WITHOUT ROWID;
CREATE TABLE results (
    fingerprint TEXT PRIMARY KEY, static_key TEXT NOT NULL, uses TEXT NOT NULL, components TEXT NOT NULL,
    outputs TEXT NOT NULL, telemetry TEXT NOT NULL, run TEXT NOT NULL, created_ms INTEGER NOT NULL,
    checksum TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX results_by_static_key ON results (static_key);
CREATE TABLE latest (
    pipeline TEXT NOT NULL, step TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (pipeline, step)
) WITHOUT ROWID;
CREATE TABLE claims (
    fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, holder TEXT NOT NULL, at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pins (run TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantined (what TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, at_ms INTEGER NOT NULL);
"""
"""The action of a step is in the plan of its run. A step without a row is pending."""


def version(database: sqlite3.Connection) -> int:
    """Returns the version that wrote the tables; 0 without tables."""
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    return found


def create(database: sqlite3.Connection) -> None:
    """Creates the tables, as part of the open transaction."""
    for statement in (TABLES + outbox.TABLES).split(";\n"):  # ``executescript`` would commit first
        if statement.strip():
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def create_temporary(database: sqlite3.Connection) -> None:
    """Creates the tables, but not the outbox's, empty and for this connection only. It may be read-only."""
    database.execute("PRAGMA temp_store = MEMORY")
    for statement in TABLES.split(";\n"):
        if statement.lstrip().startswith("CREATE TABLE"):
            database.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def has_outbox(database: sqlite3.Connection) -> bool:
    """Returns whether there is an outbox, perhaps without the other tables: of a program, before the first run."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone() is not None
