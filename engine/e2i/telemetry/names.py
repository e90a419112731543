"""Pairs of run ids: the one that a program got while a tracker was down, and the one that the tracker gave later.

In: a connection to a database with the outbox's tables. Out: pairs, which are never removed.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct

TABLE = """
CREATE TABLE IF NOT EXISTS outbox_names (
    sequence INTEGER PRIMARY KEY, sink TEXT NOT NULL, target TEXT NOT NULL, local TEXT NOT NULL, remote TEXT NOT NULL,
    UNIQUE (sink, target, local)
);
"""
NAME = (
    "INSERT INTO outbox_names (sink, target, local, remote) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (sink, target, local) DO UPDATE SET remote = excluded.remote WHERE remote != excluded.remote"
)
"""A tracker that has lost its runs gives another id: the latest one counts."""


class NamedRun(Struct, frozen=True):
    """A run as a program and its tracker call it."""

    sink: str
    target: str
    """The tracker, as in the entries of the run."""
    local: str
    """32 hexadecimal digits, given to the program while the tracker was down."""
    remote: str
    """The tracker's own id."""


def name(connection: sqlite3.Connection, run: NamedRun) -> None:
    """Keeps a pair. A pair that is known already is not written again."""
    connection.execute(NAME, (run.sink, run.target, run.local, run.remote))


def remote(connection: sqlite3.Connection, sink: str, target: str, local: str) -> str | None:
    """Returns the tracker's id of a run, if the tracker has given one."""
    found = connection.execute(
        "SELECT remote FROM outbox_names WHERE sink = ? AND target = ? AND local = ?", (sink, target, local)
    ).fetchone()
    return None if found is None else str(found[0])


def listed(connection: sqlite3.Connection, sink: str | None = None) -> list[NamedRun]:
    """Returns the pairs of a sink, or all, in the order in which the trackers gave their ids."""
    rows = connection.execute(
        "SELECT sink, target, local, remote FROM outbox_names WHERE coalesce(?, sink) = sink ORDER BY sequence", (sink,)
    )
    return [NamedRun(*map(str, row)) for row in rows]
