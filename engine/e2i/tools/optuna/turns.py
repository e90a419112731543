"""Locks on studies. In: the name of a study. Out: a lock that excludes every other process.

The lock excludes other processes of this store and, for studies on a server, other stores. Both types of lock are
released when their process exits: a file lock by the kernel, the lock of a PostgreSQL session by the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from e2i.regular import open_private
from e2i.resilience.postgres import engine_options

CONNECTING = 5.0
"""Timeout of connecting to PostgreSQL, in seconds."""


class Turn(Protocol):
    """A lock on a study."""

    def take(self) -> bool:
        """Try to acquire the lock; return True on success. Otherwise call again."""

    def check(self) -> None:
        """Raise sqlalchemy.exc.DBAPIError when the lock was lost since it was acquired."""

    def close(self) -> None:
        """Release the lock."""


class FileTurn:
    """A lock among the processes of one machine, by a file in ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._handle = open_private(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR)

    def take(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def check(self) -> None:
        """Do nothing: a file lock cannot be lost."""

    def close(self) -> None:
        os.close(self._handle)


class ServerTurn:
    """A lock among all clients of the PostgreSQL database at ``url``, by an advisory lock in its own session.

    Raises ImportError when the driver is not installed; its methods raise sqlalchemy.exc.DBAPIError.
    """

    def __init__(self, url: str, name: str, seconds: float) -> None:
        """``seconds`` is the timeout of one query."""
        import sqlalchemy

        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
            **engine_options(url, min(CONNECTING, seconds), seconds),
        )
        self._number = _number(name)
        self._session: Any = None

    def take(self) -> bool:
        return bool(self._ask(f"SELECT pg_try_advisory_lock({self._number})"))

    def wait(self) -> None:
        """Wait for the lock, for short work."""
        self._ask(f"SELECT pg_advisory_lock({self._number})")

    def check(self) -> None:
        """Forbid reconnecting: after a lost session, the first query fails."""
        self._ask("SELECT 1")

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _ask(self, question: str) -> Any:
        if self._session is None:
            self._session = self._engine.connect()
        return self._session.exec_driver_sql(question).scalar()


def with_driver(address: str) -> str:
    """Return the address of a database server, with its driver."""
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def _number(name: str) -> int:
    """Return the key of an advisory lock: 64 bits that nothing else in the database uses."""
    return int.from_bytes(hashlib.blake2b(f"e2i/optuna/{name}".encode(), digest_size=8).digest(), "big", signed=True)
