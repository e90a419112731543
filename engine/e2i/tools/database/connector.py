"""Open the databases of the settings, each behind its own circuit breaker. In: a name. Out: a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace
from pydantic import SecretStr

from e2i.errors import BadInput
from e2i.resilience.circuits import breaker_of
from e2i.resilience.guard import Guard
from e2i.spec import suggest
from e2i.tools.database import LOCAL, LOCAL_FILE, Connection, Settings, postgres, sqlite
from e2i.tools.database.session import Calls, Session

_LOCAL = Connection(url=SecretStr(f"sqlite:///{LOCAL_FILE}"), read_only=False)
"""The database in the store, whose file is in the tool's folder there."""


class Databases:
    """The databases of this environment."""

    tool: ClassVar[str] = "database"

    def __init__(self, settings: Settings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard
        self._home = home

    @contextmanager
    def opened(self, name: str, *, writes: bool = False) -> Iterator[Session]:
        """Yield a session. Raises BadInput for a connection that is not in the settings, or only for reading."""
        connection = self._connection(name)
        if writes and connection.read_only:
            raise BadInput(
                f'the connection "{name}" is only for reading',
                code="policy-connection",
                hint="the operator sets read_only: false in `tools: database:`",
            )
        calls = Calls(self._guarded(name, connection), f'database "{name}"', connection.statement_timeout)
        session: Session
        if connection.file is not None:
            session = sqlite.SqliteSession(self._file(connection.file, connection), calls, writes=writes)
        else:
            session = postgres.PostgresSession(connection.url.get_secret_value(), calls, writes=writes)
        try:
            yield session
        finally:
            session.close()

    def _connection(self, name: str) -> Connection:
        found = self._settings.connections.get(name, _LOCAL if name == LOCAL else None)
        if found is None:
            hint = suggest.hint(name, self._settings.places(), most=12)
            raise BadInput(f'the settings have no connection "{name}"', code="unknown-connection", hint=hint)
        return found

    def _file(self, name: str, connection: Connection) -> Path:
        """Return the path of a SQLite file: in the workspace, or the one in the store."""
        if connection is not _LOCAL:
            return Path(name)
        self._home.mkdir(parents=True, exist_ok=True)
        return self._home / name

    def _guarded(self, name: str, connection: Connection) -> Guard:
        """Return a guard with the breaker of this database: another one that is down does not open it."""
        classify = postgres.is_outage if connection.file is None else sqlite.is_outage
        if connection is _LOCAL:
            return replace(self._guard, classify=classify)
        breaker = breaker_of(self._home.parent, self.tool, self._settings, name)
        return replace(self._guard, breaker=breaker, classify=classify)
