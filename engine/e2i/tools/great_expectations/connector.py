"""Great Expectations behind the guard, for actions. In: frames and suites. Out: validations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from e2i.errors import BadInput
from e2i.resilience.breaker import Breaker
from e2i.resilience.circuits import breaker_of, policy_of
from e2i.spec import suggest
from e2i.tools.great_expectations import FolderSource, GreatExpectationsSettings, SqliteSource
from e2i.tools.great_expectations.sql import Database
from e2i.tools.great_expectations.suite import Suite
from e2i.tools.great_expectations.validation import Validation, of_results, unexpected, validate

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.resilience.guard import Guard


class GuardedGE:
    """Validates frames in memory, and tables of databases. Every call has its own library context: they may overlap."""

    tool: ClassVar[str] = "great_expectations"

    def __init__(self, settings: GreatExpectationsSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._home = home
        self._server = guard
        # A database that is down says nothing of frames: their circuit is of this process alone.
        self._guard = replace(guard, breaker=Breaker(self.tool, policy_of(settings.circuit_breaker)))

    async def validate(self, frame: pd.DataFrame, suite: Suite, *, samples: int = 5) -> Validation:
        """Check a frame. Raises BadInput for invalid arguments, ToolUnavailable when the library is missing."""
        return await self._guard.acall(validate, frame, suite, samples, deadline=self._settings.deadline)

    async def unexpected(self, frame: pd.DataFrame, suite: Suite, chosen: Sequence[int]) -> Mapping[int, Sequence[int]]:
        """Return the labels of the rows of the frame that fail each of the chosen expectations of the suite."""
        return await self._guard.acall(unexpected, frame, suite, chosen, deadline=self._settings.deadline)

    async def validate_source(
        self, source: str, table: str, equal: Mapping[str, Any], suite: Suite, *, samples: int = 5
    ) -> Validation:
        """Check rows of a database there. Raises BadInput for what it lacks, ToolUnavailable when it is down."""
        database, guard = self._database(source)
        results = await guard.acall(_there, database, table, equal, suite, samples, deadline=self._settings.deadline)
        return of_results(suite, results)

    async def read_source(self, source: str, table: str, equal: Mapping[str, Any]) -> pa.Table:
        """Return rows of a database, as they are at one moment. Raises as ``validate_source`` does."""
        database, guard = self._database(source)
        rows: pa.Table = await guard.acall(_read, database, table, equal, deadline=self._settings.deadline)
        return rows

    def _database(self, name: str) -> tuple[Database, Guard]:
        """Return a database of the settings, and a guard with its own circuit."""
        found = self._settings.datasources.get(name)
        if found is None or isinstance(found, FolderSource):
            known = [one for one, kind in self._settings.datasources.items() if not isinstance(kind, FolderSource)]
            said = f'the settings have no database "{name}"' if found is None else f'"{name}" is a folder'
            raise BadInput(
                said, code="unknown-connection", hint=suggest.hint(name, known) or "files are read by data.load"
            )
        seconds = self._settings.source_deadline
        if isinstance(found, SqliteSource):
            path = Path(found.path).resolve()
            if not path.is_file():
                raise BadInput(f'there is no file of the database "{name}": {path.name}', code="no-such-file")
            return Database(name, path, seconds), self._server
        breaker = breaker_of(self._home.parent, self.tool, self._settings, name)
        return Database(name, found.url.get_secret_value(), seconds), replace(self._server, breaker=breaker)


def _there(database: Database, table: str, equal: Mapping[str, Any], suite: Suite, samples: int) -> list[Any]:
    from e2i.tools.great_expectations import sql

    return sql.validate(database, table, equal, suite, samples)


def _read(database: Database, table: str, equal: Mapping[str, Any]) -> Any:
    from e2i.tools.great_expectations import sql

    return sql.read(database, table, equal)
