"""The name of a study goes in; while a turn at it lasts, nobody else works on it: no process of this store, and where
studies are kept on a server, no other store either.

Both kinds of lock are given back by whoever dies: a file's by the kernel, that of a PostgreSQL session by the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from e2i.resilience.postgres import engine_options

CONNECTING = 5.0
"""Seconds that connecting to PostgreSQL may take."""


class Turn(Protocol):
    """One's turn at a study."""

    def take(self) -> bool:
        """Whether it is one's turn now. To be asked again if not."""

    def check(self) -> None:
        """Raises sqlalchemy.exc.DBAPIError when the turn was lost since it was taken."""

    def close(self) -> None:
        """The turn is over."""


class FileTurn:
    """A turn among the processes of one machine, by a file in ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)

    def take(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def check(self) -> None:
        """It cannot be lost."""

    def close(self) -> None:
        os.close(self._handle)


class ServerTurn:
    """A turn among all who know the PostgreSQL database at ``url``, by an advisory lock of a session of its own.

    Raises ImportError when the driver is not installed; its methods raise sqlalchemy.exc.DBAPIError.
    """

    def __init__(self, url: str, name: str, seconds: float) -> None:
        """``seconds`` is how long one question may take."""
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
        """Takes the turn once it is free: for what is over in a moment."""
        self._ask(f"SELECT pg_advisory_lock({self._number})")

    def check(self) -> None:
        """A session that is gone is not replaced in silence: the first question to it fails."""
        self._ask("SELECT 1")

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _ask(self, question: str) -> Any:
        if self._session is None:
            self._session = self._engine.connect()
        return self._session.exec_driver_sql(question).scalar()


def with_driver(address: str) -> str:
    """The address of a database server, with its driver."""
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def _number(name: str) -> int:
    """What an advisory lock goes by: 64 bits that nothing else in the database uses."""
    return int.from_bytes(hashlib.blake2b(f"e2i/optuna/{name}".encode(), digest_size=8).digest(), "big", signed=True)
