"""Open the SQLite file of a store for reading.

In: its path. Out: a connection that changes nothing. While nobody writes, SQLite need not create the files that it
shares with writers. After such a read, the reader checks whether a writer came.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from e2i.store import ownership, tables
from e2i.store.database import SQLITE_ERRORS, StoreError, beside, connect, known_version, store_error

TICK = 10_000_000
"""Largest step of a file system's clock in nanoseconds."""


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Returns a connection that changes nothing. Raises StoreError.

    After reading, check ``is_whole``; if it is False, open the file and read again. Raises Refused for a store that
    does not belong to this user alone.
    """
    ownership.check(path.parent)
    while True:
        database = None
        try:
            database = _look(path)
            opened = _with_tables(database, path)
        except (OSError, *SQLITE_ERRORS, StoreError) as error:
            if database is None or is_whole(database):
                raise error if isinstance(error, StoreError) else store_error(error, path) from error
        else:
            if is_whole(database):
                return opened
        database.close()


def is_whole(database: sqlite3.Connection) -> bool:
    """Returns whether all that an open connection has read is of one state of the file, without writes in between."""
    return database.is_whole if isinstance(database, Unlocked) else True


class Unlocked(sqlite3.Connection):
    """A connection that writers do not know of. What it has read is consistent while the file is unchanged."""

    file: Path
    was: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        return _stamp(self.file) == self.was


def _look(path: Path) -> sqlite3.Connection:
    """Returns a connection to the file in its present state."""
    was, log = _stamp(path), beside(path, "-wal")
    if not log.exists():  # nobody is writing, and SQLite need not create the files that it shares with writers
        if was and 0 <= time.time_ns() - was[-1] < TICK:  # the next write might not change the time
            time.sleep(TICK / 1e9)
            return _look(path)
        unlocked = connect(f"{path.resolve().as_uri()}?immutable=1", Unlocked)
        unlocked.file, unlocked.was = path, was
        return unlocked
    database = connect(f"{path.resolve().as_uri()}?mode=ro", sqlite3.Connection)
    try:
        tables.version(database)
    except sqlite3.OperationalError:
        database.close()
        # The last writer has just exited; or, on a read-only disk, a dead process left a log.
        return _copy(path) if log.exists() else _look(path)
    return database


def _with_tables(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Returns the connection, or an empty store in memory while the file has no tables yet. Before the first run, it
    may have an outbox.
    """
    if known_version(database, path) == tables.SCHEMA_VERSION:
        return database
    if tables.has_outbox(database):
        tables.create_temporary(database)
        return database
    database.close()
    empty = connect(":memory:", sqlite3.Connection)
    tables.create(empty)
    return empty


def _stamp(path: Path) -> tuple[int, ...]:
    """Returns metadata that a write to the file changes, if the last write is more than a ``TICK`` ago."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _copy(path: Path) -> sqlite3.Connection:
    """Returns the file with its log, in memory."""
    import shutil  # both are rarely needed, and importing them takes time
    import tempfile

    with tempfile.TemporaryDirectory(prefix="e2i-") as folder:
        copied = Path(folder) / path.name
        for suffix in ("", "-wal"):
            shutil.copyfile(beside(path, suffix), beside(copied, suffix))
        database = connect(":memory:", sqlite3.Connection)
        with contextlib.closing(sqlite3.connect(copied)) as source:
            source.backup(database)
    return database
