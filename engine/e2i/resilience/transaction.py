"""Transaction of a SQLite connection: changes inside the block become durable at its end, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Opens a transaction, where ``isolation_level`` is None. Raises sqlite3.Error, and exceptions of the block."""
    database.execute(begin)
    try:
        yield
        database.execute("COMMIT")
    except BaseException:  # rolled back and raised again, whatever it is
        if database.in_transaction:  # SQLite itself has rolled back when the disk is full
            database.execute("ROLLBACK")
        raise
