"""Open the SQLite file of a store for writing.

In: its path. Out: a connection to intact tables of this version. A corrupt file is quarantined. SQLite's errors are
raised as ``StoreError``. Readers use ``e2i.store.reading``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from e2i.errors import E2IError, Exit
from e2i.regular import file_mode
from e2i.resilience.checksum import legible
from e2i.resilience.lock import exclusive
from e2i.resilience.processes import process_alive
from e2i.resilience.transaction import keep_write_ahead_log, transaction
from e2i.store import disk, ownership, tables

FILE = "state.db"
WAIT = 30.0
"""Seconds to wait for another process's transaction."""
SqliteError = sqlite3.Error | MemoryError | UnicodeDecodeError | IndexError
SQLITE_ERRORS = (sqlite3.Error, MemoryError, UnicodeDecodeError, IndexError)
"""What Python's SQLite raises; the last two when a corrupt schema has other names of columns."""

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=sqlite3.Connection)


class StoreError(E2IError):
    """Raised when the store cannot be used: not writable, corrupt, full, gone, or written by a newer version."""

    exit_code = Exit.UNAVAILABLE


class OnFile(Protocol):
    """An object that works on the file at ``path``."""

    path: Path

    def has_reopened(self) -> bool:
        """Returns whether a writer changed what was just read. Then the file was reopened, to read again."""


S = TypeVar("S", bound=OnFile)


def guarded(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Wraps a method: SQLite's errors become StoreError, and what a writer changed meanwhile is read again.

    A file that is found corrupt is checked when it is next opened.
    """

    @functools.wraps(method)
    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                found = method(self, *args, **kwargs)
            except (*SQLITE_ERRORS, StoreError) as error:
                if self.has_reopened():
                    continue
                raise error if isinstance(error, StoreError) else store_error(error, self.path) from error
            if not self.has_reopened():
                return found

    return wrapper


def store_error(error: SqliteError | OSError, path: Path) -> StoreError:
    """Returns the error as a StoreError: what happened, to which file, and what to do."""
    kind = getattr(error, "sqlite_errorname", None) or ""
    if isinstance(error, OSError) and (trouble := disk.trouble(error, path)) and trouble.code != "not-writable":
        return StoreError(trouble.message, code=trouble.code, hint=trouble.hint)
    if kind == "SQLITE_FULL":
        return StoreError(
            f"disk full: {path}",
            code="disk-full",
            hint="free some space, or choose another folder with --store DIR; the run can be resumed",
        )
    if isinstance(error, PermissionError) and str(error.filename or "").startswith(f"{path.parent}/"):
        return StoreError(
            f"the store {path.parent} cannot be written: {error.filename}: {error.strerror}",
            code="store-not-writable",
            hint=f"its owner can open it to the group: chmod -R g+rwX {error.filename}; or choose another folder with"
            " --store DIR or E2I_STORE",
        )
    if isinstance(error, OSError) or kind.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"the store {path.parent} cannot be written: {error}",
            code="store-not-writable",
            hint="choose another folder with --store DIR or E2I_STORE",
        )
    if kind.startswith("SQLITE_IOERR") and kind != "SQLITE_IOERR_SHORT_READ":
        return StoreError(
            f"disk full or failing: {path}: {error}",
            code="disk-failing",
            hint="check the disk and its quota, or choose another folder with --store DIR; the run can be resumed",
        )
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"another process has held the store for more than {WAIT:g} s: {path}",
            code="store-busy",
            hint="end that process, or try again later; the run can be resumed",
        )
    with contextlib.suppress(OSError):
        _suspicion(path).touch(mode=file_mode(path.parent))
    return StoreError(
        f"the state of the store is corrupt: {error} ({path})",
        code="store-corrupt",
        hint="run again: the corrupt file is quarantined and the history starts empty",
    )


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Returns a connection, and the path of the corrupt file if one was quarantined.

    Raises StoreError, and Refused for a store that does not belong to this user alone.
    """
    ownership.check(path.parent)
    try:
        ownership.create(path.parent)
        with exclusive(path.with_name("state.lock")):
            try:
                return _opened(path), None
            except StoreError as error:
                if error.code != "store-corrupt":
                    raise
            aside = _quarantine(path)
            return _opened(path), aside
    except OSError as error:
        raise store_error(error, path) from error


def complaints(database: sqlite3.Connection, check: str = "quick_check") -> list[str]:
    """Returns SQLite's problems with the file, in time proportional to its size. ``integrity_check`` also compares
    indexes with tables.
    """
    return [row[0] for row in database.execute(f"PRAGMA {check}(20)") if row[0] != "ok"]


def connect(target: str, kind: type[C]) -> C:
    """Returns a connection with the settings of this module. ``target`` is a path, or an address that begins with
    ``file:``.
    """
    uri = target.startswith("file:")
    database = sqlite3.connect(target, uri=uri, isolation_level=None, timeout=WAIT, factory=kind)
    database.row_factory = sqlite3.Row
    database.text_factory = legible
    return database


def known_version(database: sqlite3.Connection, path: Path) -> int:
    """Returns the version that wrote the tables. Raises StoreError for one that is newer than this program."""
    found = tables.version(database)
    if found > tables.SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer version of e2i (state version {found}, this one knows up to"
            f" {tables.SCHEMA_VERSION})",
            code="store-too-new",
            hint="upgrade e2i, or choose another folder with --store DIR",
        )
    return found


def beside(path: Path, suffix: str) -> Path:
    """Returns the file that belongs to the database, such as its log, ``-wal``."""
    return path.with_name(path.name + suffix)


def _opened(path: Path) -> sqlite3.Connection:
    log, suspicion = beside(path, "-wal"), _suspicion(path)
    if not path.exists():
        for left in (log, beside(path, "-shm"), suspicion):
            left.unlink(missing_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, file_mode(path.parent))
        os.close(handle)
    was_left = log.exists()
    database = None
    try:
        database = connect(str(path), sqlite3.Connection)
        database.execute("PRAGMA synchronous = FULL")
        if known_version(database, path) < tables.SCHEMA_VERSION:
            _create(database)
        _check(database, thoroughly=suspicion.exists() or (was_left and not _somebody_writes(database)))
        suspicion.unlink(missing_ok=True)
    except (*SQLITE_ERRORS, StoreError) as error:
        if database is not None:
            database.close()
        raise error if isinstance(error, StoreError) else store_error(error, path) from error
    return database


def _create(database: sqlite3.Connection) -> None:
    """Creates the tables, unless another process has just done so."""
    keep_write_ahead_log(database, wait=WAIT)
    with transaction(database):
        if tables.version(database) < tables.SCHEMA_VERSION:
            tables.create(database)


def _check(database: sqlite3.Connection, *, thoroughly: bool) -> None:
    """Raises sqlite3.DatabaseError when the file is corrupt, as far as it is checked."""
    places = ", ".join("?" * len(tables.NAMES))
    found = database.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN ({places})", tables.NAMES).fetchone()[0]
    if found != len(tables.NAMES):
        raise sqlite3.DatabaseError("tables are missing")
    if thoroughly and (wrong := complaints(database)):
        raise sqlite3.DatabaseError(wrong[0].splitlines()[-1])


def _somebody_writes(database: sqlite3.Connection) -> bool:
    """Returns whether another live process has a run open. Then that process has checked the file and owns the log."""
    return any(process_alive(row[0]) for row in database.execute("SELECT holder FROM runs WHERE status = 'running'"))


def _quarantine(path: Path) -> Path:
    """Moves the file and its companions to new names in the same folder."""
    stem = f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    names = (stem, *(f"{stem}-{number}" for number in range(1, 1000)))
    target = path.with_name(next(name for name in names if not path.with_name(name).exists()))
    path.replace(target)
    for suffix in ("-wal", "-shm"):
        if beside(path, suffix).exists():
            beside(path, suffix).replace(beside(target, suffix))
    return target


def _suspicion(path: Path) -> Path:
    """Returns an empty file that places the database for a thorough check at the next opening."""
    return beside(path, "-suspect")
