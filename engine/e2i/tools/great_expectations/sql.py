"""Validate a table of a database there. In: an address, a table, values to keep, a suite. Out: results.

Great Expectations computes each expectation as SQL. The connections are ours, so that they only read, and none of
their exchanges exceeds its deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import BadInput, ToolUnavailable
from e2i.resilience.postgres import engine_options
from e2i.spec import patterns
from e2i.spec.suggest import hint
from e2i.tools.great_expectations import literals, rows
from e2i.tools.great_expectations.suite import Suite
from e2i.tools.great_expectations.validation import built, context, library, run

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy

BROKEN_FILE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_INTERRUPT", "SQLITE_CORRUPT")
"""Errors of SQLite that are no fault of a query."""
STEPS = 100_000
"""Instructions of SQLite between two looks at the clock."""


class Database(Struct, frozen=True):
    """A database, by the name of its datasource. ``seconds`` limit a connection, and each query."""

    name: str
    address: str | Path
    """The URL of a PostgreSQL database, or the file of a SQLite one."""
    seconds: float


def validate(database: Database, table: str, equal: Mapping[str, Any], suite: Suite, samples: int) -> list[Any]:
    """Return the library's results for the rows of a table whose columns have the values of ``equal``, in order.

    ``table`` may have a schema: ``schema.table``. Raises BadInput for an unknown table or column, and for no rows;
    ToolUnavailable when the database does not answer.
    """
    gx = library()
    with _engine(database) as (engine, outages):
        chosen, found = _rows(database, engine, table, equal)
        rows.require(suite, found.columns.keys())
        types = {name: _python_type(column) for name, column in found.columns.items()}
        checked = built(suite, literals.of_types({} if isinstance(database.address, Path) else types))
        memory = context(gx)  # held until the end: a datasource refers to its context weakly
        results = run(_batch(memory, engine, chosen, found), checked, samples)
        if outages and any(result.exception_info for result in results):
            raise outages[0]
        return results


def read(database: Database, table: str, equal: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a table whose columns have the values of ``equal``, as they are at one moment.

    Raises the errors of ``validate``, and BadInput naming a column whose type or values a table cannot have.
    """
    from e2i.tools.great_expectations import sql_rows

    with _engine(database) as (engine, _):
        chosen, found = _rows(database, engine, table, equal)
        with engine.connect() as connection:
            return sql_rows.read(connection, chosen, found)


def names(engine: sqlalchemy.Engine, schema: str | None) -> list[str]:
    """Return the tables and views of a schema, sorted."""
    import sqlalchemy

    inspector = sqlalchemy.inspect(engine)
    return sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})


@contextmanager
def _engine(database: Database) -> Iterator[tuple[sqlalchemy.Engine, list[sqlalchemy.exc.DBAPIError]]]:
    """Yield an engine, and the outages that it has met so far. Raises ToolUnavailable for one that is met inside."""
    import sqlalchemy

    if isinstance(database.address, Path):
        engine = _of_file(database.address, database.seconds)
    else:
        url = sqlalchemy.make_url(database.address.replace("postgres://", "postgresql://", 1))
        options = engine_options(url.render_as_string(hide_password=False), database.seconds, database.seconds)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)
        sqlalchemy.event.listen(engine, "connect", _only_read)
    outages: list[sqlalchemy.exc.DBAPIError] = []

    def note(met: Any) -> None:
        if met.sqlalchemy_exception is not None and _is_outage(met.sqlalchemy_exception):
            outages.append(met.sqlalchemy_exception)

    sqlalchemy.event.listen(engine, "handle_error", note)
    try:
        yield engine, outages
    except sqlalchemy.exc.StatementError as error:
        if not isinstance(error, sqlalchemy.exc.DBAPIError):
            reason = f"datasource {database.name!r}: a value does not suit its column: {error.orig}"
            raise BadInput(reason, code="bad-filter") from error
        if not _is_outage(error):
            reason = str(error.orig).strip().splitlines()[0]
            raise BadInput(f"datasource {database.name!r} refuses a query: {reason}", code="bad-query") from error
        raise ToolUnavailable(
            "great_expectations",
            f"datasource {database.name!r} is unavailable: {str(error.orig).strip().splitlines()[0]}",
            hint="check its address under `datasources`, and that the database is up",
        ) from error.orig
    finally:
        engine.dispose()


def _of_file(path: Path, seconds: float) -> sqlalchemy.Engine:
    """Return an engine that reads a SQLite file, with regular expressions in linear time."""
    import sqlite3

    import sqlalchemy

    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=seconds, check_same_thread=False)
        ends = time.monotonic() + seconds
        made.set_progress_handler(lambda: int(time.monotonic() > ends), STEPS)
        return made

    engine = sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=sqlalchemy.NullPool)
    sqlalchemy.event.listen(engine, "connect", _linear_patterns)
    return engine


def _linear_patterns(connection: Any, _record: Any) -> None:
    def found(pattern: str, value: Any) -> bool:
        return value is not None and patterns.search(pattern)(str(value))

    connection.create_function("regexp", 2, found, deterministic=True)


def _only_read(connection: Any, _record: Any) -> None:
    connection.read_only = True


def _is_outage(error: Any) -> bool:
    import sqlalchemy

    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(BROKEN_FILE)
    return isinstance(error, sqlalchemy.exc.OperationalError) or bool(error.connection_invalidated)


def _rows(database: Database, engine: Any, text: str, equal: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the query of the rows to check, and their table. Raises BadInput when there are none."""
    import sqlalchemy

    before, dot, after = text.partition(".")
    schema, name = (before, after) if dot else (None, text)
    present = names(engine, schema)
    if name not in present:
        raise BadInput(
            f"datasource {database.name!r} has no table {text!r}",
            code="unknown-table",
            hint=hint(name, present) or f"its tables: {', '.join(present[:20]) or 'none'}",
        )
    table = sqlalchemy.Table(name, sqlalchemy.MetaData(), schema=schema, autoload_with=engine)
    for column in equal:
        if column not in table.columns:
            raise BadInput(
                f"table {text!r} has no column {column!r}",
                code="unknown-column",
                hint=hint(column, table.columns.keys(), most=40),
            )
    meant = {column: _suited(table.columns[column], value) for column, value in equal.items()}
    chosen = sqlalchemy.select(table).where(*[table.columns[column] == value for column, value in meant.items()])
    with engine.connect() as connection:
        if connection.execute(chosen.limit(1)).first() is None:
            raise rows.nothing(equal, lambda column: _values(connection, table.columns[column]))
    return chosen, table


def _values(connection: Any, column: Any) -> list[str]:
    import sqlalchemy

    found = connection.execute(sqlalchemy.select(column).distinct().limit(rows.MOST_VALUES))
    return [str(value) for (value,) in found]


def _suited(column: Any, value: Any) -> Any:
    """Return the value of a batch in the type of its column: YAML has texts for dates and times."""
    convert = literals.of_types({column.name: _python_type(column)})(column.name)
    if convert is None or not isinstance(value, str):
        return value
    try:
        return convert(value)
    except ValueError as error:
        raise BadInput(
            f"column {column.name!r} has no value {value!r:.80}: {error}",
            code="bad-filter",
            hint="write a date or a time in ISO 8601",
        ) from error


def _python_type(column: Any) -> type:
    try:
        found: type = column.type.python_type
    except NotImplementedError:
        return object
    return found


def _batch(memory: Any, engine: Any, chosen: Any, table: Any) -> Any:
    """Return the library's batch of the chosen rows.

    The library makes a datasource's engine by itself, from an address, and knows no query with parameters. So its
    datasource is one of nothing, whose engine is replaced by one that has our connections and our rows.
    """
    from great_expectations.core.batch import BatchMarkers
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData

    class ChosenRows(SqlAlchemyExecutionEngine):  # type: ignore[misc]  # the library has no types
        """An engine whose only data are the chosen rows."""

        def get_batch_data_and_markers(self, batch_spec: Any) -> tuple[Any, Any]:
            markers = BatchMarkers({"ge_load_time": None})
            data = SqlAlchemyBatchData(
                execution_engine=self,
                selectable=chosen,
                create_temp_table=False,
                source_table_name=table.name,
                source_schema_name=table.schema,
            )
            return data, markers

    source = memory.data_sources.add_sqlite("database", connection_string="sqlite://")
    asset = source.add_query_asset("table", query="SELECT 1")
    source._execution_engine = ChosenRows(engine=engine, create_temp_table=False)
    source._cached_execution_engine_kwargs = source.dict(
        exclude=source._get_exec_engine_excludes(), config_provider=source._config_provider, exclude_unset=False
    )
    return asset.add_batch_definition_whole_table("rows").get_batch()
