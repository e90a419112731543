"""Transactions and the journal of a SQLite connection.

Changes inside the block of a transaction become durable at its end, or not at all.
"""

from __future__ import annotations

import sqlite3
import time
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


def keep_write_ahead_log(database: sqlite3.Connection, *, wait: float = 5.0) -> None:
    """Switches the file to a write-ahead log. Raises sqlite3.Error, also when the file is locked for ``wait`` seconds.

    SQLite does not wait here for another connection that opens the new file at the same time, whatever its timeout.
    """
    until = time.monotonic() + wait
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(0.005)
