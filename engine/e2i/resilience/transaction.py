"""A connection to SQLite goes in; what is changed inside the context becomes durable at its end, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """A transaction, where ``isolation_level`` is None. Raises sqlite3.Error, and what is raised inside."""
    database.execute(begin)
    try:
        yield
        database.execute("COMMIT")
    except BaseException:  # undone and raised again, whatever it is
        if database.in_transaction:  # SQLite itself has undone it when the disk is full
            database.execute("ROLLBACK")
        raise
