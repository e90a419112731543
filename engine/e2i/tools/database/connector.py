"""Open the databases of the settings, each behind its own circuit breaker. In: a name. Out: a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from e2i.errors import BadInput
from e2i.resilience.circuits import breaker_of
from e2i.resilience.guard import Guard
from e2i.spec import suggest
from e2i.tools.database import Connection, Settings, postgres, sqlite
from e2i.tools.database.session import Calls, Session


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
            session = sqlite.SqliteSession(Path(connection.file), calls, writes=writes)
        else:
            session = postgres.PostgresSession(connection.url.get_secret_value(), calls, writes=writes)
        try:
            yield session
        finally:
            session.close()

    def _connection(self, name: str) -> Connection:
        found = self._settings.connections.get(name)
        if found is None:
            hint = suggest.hint(name, self._settings.connections, most=12)
            raise BadInput(f'the settings have no connection "{name}"', code="unknown-connection", hint=hint)
        return found

    def _guarded(self, name: str, connection: Connection) -> Guard:
        """Return a guard with the breaker of this database: another one that is down does not open it."""
        breaker = breaker_of(self._home.parent, self.tool, self._settings, name)
        classify = postgres.is_outage if connection.file is None else sqlite.is_outage
        return replace(self._guard, breaker=breaker, classify=classify)
