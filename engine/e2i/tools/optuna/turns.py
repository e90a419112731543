"""Locks on studies. In: the name of a study. Out: a lock that excludes every other process.

The lock excludes other processes of this store and, for studies on a server, other stores. Both types of lock are
released when their process exits: a file lock by the kernel, the lock of a PostgreSQL session by the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
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

    def __init__(self, folder: Path, name: str, *, shared: bool = False) -> None:
        """``shared``: others that are shared may hold it at the same time."""
        folder.mkdir(parents=True, exist_ok=True)
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._handle = open_private(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR)

    def take(self) -> bool:
        try:
            fcntl.flock(self._handle, self._kind | fcntl.LOCK_NB)
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

    def __init__(self, url: str, name: str, seconds: float, *, shared: bool = False) -> None:
        """``seconds`` is the timeout of one query. ``shared``: others that are shared may hold it at the same time."""
        import sqlalchemy

        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
            **engine_options(url, min(CONNECTING, seconds), seconds),
        )
        self._name = name
        self._kind = "_shared" if shared else ""
        self._one_at_a_time = threading.Lock()
        self._session: Any = None
        self._lost: Exception | None = None
        """How the session was lost, with its locks."""

    def take(self) -> bool:
        return bool(self._ask(f"SELECT pg_try_advisory_lock{self._kind}({_number(self._name)})"))

    def take_part(self, part: int) -> bool:
        """Try to acquire the lock of one part, in the same session; return True on success."""
        return bool(self._ask(f"SELECT pg_try_advisory_lock({_number(f'{self._name}/{part}')})"))

    def release_part(self, part: int) -> None:
        """Release the lock of one part."""
        self._ask(f"SELECT pg_advisory_unlock({_number(f'{self._name}/{part}')})")

    def wait(self) -> None:
        """Wait for the lock, for short work."""
        self._ask(f"SELECT pg_advisory_lock({_number(self._name)})")

    def check(self) -> None:
        """Forbid reconnecting: after a lost session, every query fails."""
        self._ask("SELECT 1")

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _ask(self, question: str) -> Any:
        import sqlalchemy.exc

        with self._one_at_a_time:
            if self._lost is not None:
                raise self._lost
            if self._session is None:
                self._session = self._engine.connect()
            try:
                return self._session.exec_driver_sql(question).scalar()
            except sqlalchemy.exc.DBAPIError as error:
                self._lost = error
                raise


def with_driver(address: str) -> str:
    """Return the address of a database server, with its driver."""
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def _number(name: str) -> int:
    """Return the key of an advisory lock: 64 bits that nothing else in the database uses."""
    return int.from_bytes(hashlib.blake2b(f"e2i/optuna/{name}".encode(), digest_size=8).digest(), "big", signed=True)
