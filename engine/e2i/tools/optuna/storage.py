"""Open the database of studies, and its locks. In: settings and the tool's folder. Out: Optuna's storage.

The database is a SQLite file, the store's own or one of the settings, or a server.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from e2i import startup
from e2i.errors import ToolUnavailable
from e2i.resilience.postgres import engine_options
from e2i.tools.optuna import FILE, OptunaSettings
from e2i.tools.optuna.turns import CONNECTING, FileTurn, ServerTurn, with_driver

TOOL = "optuna"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,150}")


class StudyStorage:
    """The database of studies, opened once. Its methods block; they are called behind the tool's guard."""

    def __init__(self, settings: OptunaSettings, home: Path) -> None:
        self._settings = settings
        self._home = home
        self._opened: tuple[Any, int | None] | None = None

    @property
    def file(self) -> Path | None:
        """The SQLite file of the studies; None for a server."""
        if self._settings.study_storage is None:
            return self._home / FILE
        return self._settings.study_file

    @property
    def server(self) -> str | None:
        """Address of the PostgreSQL server, with its driver; None for another database."""
        address = self._address()
        return address if address.startswith("postgresql") else None

    def optuna(self) -> Any:
        """Return Optuna's storage. Raises ToolUnavailable when its file was removed or replaced since it was opened."""
        if self._opened is None:
            self._opened = self._open()
        storage, opened_inode = self._opened
        if opened_inode != self._inode():
            self._opened = None
            assert self.file is not None
            raise ToolUnavailable(
                TOOL,
                f"the study storage {self.file.name} was removed or replaced while it was in use",
                code="storage-lost",
                hint="run again: the trials are restored and the search resumes; do not clean the store meanwhile",
            )
        return storage

    def file_turn(self, name: str, *, shared: bool = False) -> FileTurn:
        """Return the lock of a study among processes that use this file, or this store."""
        own = self._settings.study_storage is None or self.file is None
        file = self.file
        folder = self._home / "locks" if own or file is None else file.parent / f"{file.name}.locks"
        return FileTurn(folder, plain(name), shared=shared)

    def server_turn(self, name: str, *, shared: bool = False) -> ServerTurn:
        """Return a lock among all clients of the server. Raises ToolUnavailable without the server's driver."""
        assert self.server is not None
        try:
            return ServerTurn(self.server, name, self._settings.deadline, shared=shared)
        except ImportError as error:
            raise _no_driver() from error

    @contextmanager
    def opening(self, name: str) -> Iterator[None]:
        """Exclude other processes that open the study on a server, for the short time that it takes."""
        if self.server is None:
            yield
            return
        with closing(self.server_turn(f"open/{name}")) as turn:
            turn.wait()
            yield

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Convert Optuna's errors: it reports a locked or dead database as invalid data."""
        import optuna
        import sqlalchemy.exc

        try:
            yield
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            text = str(cause).strip().splitlines()
            locked = "that the database is running" if self.file is None else f"that no process has locked {self.file}"
            raise ToolUnavailable(
                TOOL,
                f"the study storage cannot be used: {type(cause).__name__}: {text[0][:200] if text else ''}",
                code="storage-unavailable",
                hint=f"check {locked}; recorded trials are kept",
            ) from error

    def _address(self) -> str:
        if self._settings.study_storage is None:
            return f"sqlite:///{self.file}"
        return with_driver(self._settings.study_storage.get_secret_value())

    def _open(self) -> tuple[Any, int | None]:
        import optuna
        from optuna.storages._rdb import storage as databases

        startup.compute_once(getattr(databases, "_VersionManager", None), "_create_alembic_script")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url, file = self._address(), self.file
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with _locked(file.with_suffix(".lock")):  # two processes must not create the tables at once
                about: dict[str, Any] = {"connect_args": {"timeout": self._settings.busy}}
                storage = optuna.storages.RDBStorage(url, engine_kwargs=about)
            return storage, self._inode()
        seconds = self._settings.deadline
        about = {"pool_pre_ping": True, **engine_options(url, min(CONNECTING, seconds), seconds)}
        if self.server is not None:
            with closing(self.server_turn("tables")) as turn:  # nor two stores
                turn.wait()
                return optuna.storages.RDBStorage(url, engine_kwargs=about), None
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=about), None
        except ImportError as error:
            raise _no_driver() from error

    def _inode(self) -> int | None:
        if (path := self.file) is None:
            return None
        return path.stat().st_ino if path.exists() else -1


def plain(name: str) -> str:
    """Return a study's name as the name of a file: itself, or a digest of it."""
    if _PLAIN.fullmatch(name):
        return name
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _no_driver() -> ToolUnavailable:
    return ToolUnavailable(
        TOOL,
        "the driver of the study storage's database is not installed",
        code="tool-missing",
        hint='pip install "e2i[servers]"',
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
