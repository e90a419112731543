"""Opens the SQLite file of a store for reading. In: its path. Out: a connection that changes nothing.

While nobody writes, SQLite need not make the files that it shares with
writers; who reads so asks afterwards whether a writer came.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from e2i.store import ownership, tables
from e2i.store.database import StoreError, beside, connect, known_version, store_error

TICK = 10_000_000
"""Nanoseconds by which the clock of a file system may go in steps."""


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Raises StoreError.

    Whoever has read something asks ``is_whole``; if it is not, it is to be opened and read again. Raises Refused for a
    store that is not this user's alone.
    """
    ownership.check(path.parent)
    while True:
        database = None
        try:
            database = _look(path)
            opened = _with_tables(database, path)
        except (OSError, sqlite3.Error, MemoryError, StoreError) as error:
            if database is None or is_whole(database):
                raise error if isinstance(error, StoreError) else store_error(error, path) from error
        else:
            if is_whole(database):
                return opened
        database.close()


def is_whole(database: sqlite3.Connection) -> bool:
    """Whether all that an open connection has read is of one state of the file, and no writer came in between."""
    return database.is_whole if isinstance(database, Unlocked) else True


class Unlocked(sqlite3.Connection):
    """A connection that no writer knows of: what it has read is of one state as long as the file is as it was."""

    file: Path
    was: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        return _stamp(self.file) == self.was


def _look(path: Path) -> sqlite3.Connection:
    """A connection to the file as it is."""
    was, log = _stamp(path), beside(path, "-wal")
    if not log.exists():  # nobody is writing now, and SQLite need not make the files that it shares with writers
        if was and 0 <= time.time_ns() - was[-1] < TICK:  # the next write might not show yet
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
        # The last writer has just gone; or where nothing may be written, a log that a dead process left is in the way.
        return _copy(path) if log.exists() else _look(path)
    return database


def _with_tables(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The connection, or an empty store in memory while the file has no tables yet."""
    if known_version(database, path) == tables.SCHEMA_VERSION:
        return database
    database.close()
    empty = connect(":memory:", sqlite3.Connection)
    tables.create(empty)
    return empty


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with a write to the file, if the last one is more than a ``TICK`` ago."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _copy(path: Path) -> sqlite3.Connection:
    """The file with its log, in memory."""
    import shutil  # both are seldom needed, and every run would wait for them
    import tempfile

    with tempfile.TemporaryDirectory(prefix="e2i-") as folder:
        copied = Path(folder) / path.name
        for suffix in ("", "-wal"):
            shutil.copyfile(beside(path, suffix), beside(copied, suffix))
        database = connect(":memory:", sqlite3.Connection)
        with contextlib.closing(sqlite3.connect(copied)) as source:
            source.backup(database)
    return database
