"""Read from and write to PostgreSQL through ADBC, whose rows are Arrow tables on both sides.

A query is read through a cursor: PostgreSQL itself accepts only one SELECT there, in a transaction that cannot write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from e2i.catalog.action import host_and_port
from e2i.errors import StepError
from e2i.resilience import connections
from e2i.tools.database.session import BATCH, STAGE, Calls, Target, quoted, shape, unfit

if TYPE_CHECKING:
    import pyarrow as pa

CONNECTING = 5
"""Seconds that libpq tries to connect to one address."""
OUTAGES = ("08", "53", "57P", "58")
"""SQLSTATEs of a database that is down, full, or shutting down."""
TIMEOUT = "57014"
SAID = re.compile(r"(?:ERROR|FATAL):\s+(?P<text>[^\n]*)(?:\n.*?(?P<detail>(?:DETAIL|HINT):[^\n]*))?", re.S)
COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
FILLED = """
SELECT attname::text FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND (atthasdef OR attidentity <> '')
"""
TYPES = {
    "int8": "smallint", "int16": "smallint", "uint8": "smallint", "int32": "integer", "uint16": "integer",
    "int64": "bigint", "uint32": "bigint", "halffloat": "real", "float": "real", "double": "double precision",
    "string": "text", "large_string": "text", "bool": "boolean", "date32[day]": "date",
    "time64[us]": "time without time zone", "binary": "bytea", "large_binary": "bytea",
}  # fmt: skip
CLOCKS = ("timestamp without time zone", "timestamp with time zone")
CAST = "cast it in the query, or state its type in `columns`"


def is_outage(error: BaseException) -> bool | None:
    """Return True when an exception of ADBC means that the database is down; None for other exceptions."""
    if not type(error).__module__.startswith("adbc_driver_manager"):
        return None
    state = getattr(error, "sqlstate", None)
    if state is None:  # no answer of the server: it cannot be reached, or the connection is lost
        return type(error).__name__ == "OperationalError" and "does not exist" not in str(error)
    return str(state).startswith(OUTAGES)


def select_one(url: str) -> str:
    """Send a query to a database, with its credentials. Raises what the driver raises."""
    with _connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "select 1"


class PostgresSession:
    """Implements ``session.Session`` with ADBC's driver."""

    def __init__(self, url: str, calls: Calls, *, writes: bool = False) -> None:
        self._calls = calls
        calls.refusal = self._refusal
        address = host_and_port(url)
        assert address is not None, url
        calls.abandon = lambda: connections.cut(address)
        self._connection = calls(_connect, url)
        milliseconds = max(1, round(calls.seconds * 1000))
        for setting in (
            f"statement_timeout = {milliseconds}",
            f"lock_timeout = {milliseconds}",
            "TimeZone = 'UTC'",
            "synchronize_seqscans = off",  # equal rows in equal order, as far as the database can
            "max_parallel_workers_per_gather = 0",
        ):
            self.run(f"SET {setting}")
        self.commit()
        if not writes:
            self.run("SET TRANSACTION READ ONLY")

    def read(self, query: str, params: Sequence[Any], contract: Mapping[str, str]) -> Iterator[pa.Table]:
        self.run(f"DECLARE e2i NO SCROLL CURSOR FOR {query}", *params)
        first = True
        while True:
            piece = self._calls(self._fetch, f"FETCH FORWARD {BATCH} FROM e2i")
            if first or piece.num_rows:
                yield _plain(piece, contract)
            if piece.num_rows < BATCH:
                return
            first = False

    def declared(self, table: Target) -> Mapping[str, str]:
        return {}

    def columns(self, table: Target) -> Mapping[str, str] | None:
        return dict(self.run(COLUMNS, str(table))) or None

    def filled(self, table: Target) -> Collection[str]:
        return {name for (name,) in self.run(FILLED, str(table))}

    def types(self, content: pa.Table) -> Mapping[str, str]:
        return {field.name: _sql_type(field) for field in content.schema}

    def stage(self, content: pa.Table, types: Mapping[str, str], present: Mapping[str, str] | None) -> None:
        self.run(f"CREATE TEMPORARY TABLE {STAGE} ({shape(types)}) ON COMMIT DROP")
        content = _ingestible(content)
        for batch in content.to_batches(max_chunksize=BATCH):
            self._calls(self._ingest, batch)
        for name, kind in types.items() if present else ():
            if present and present[name] != kind:
                self._check(name, kind, present[name])

    def staged(self, name: str, kind: str) -> str:
        return f"CAST({quoted(name)} AS {kind})"

    def lock(self, table: Target) -> None:
        self.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"e2i/{table}")

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._calls(self._run, statement, values)

    def commit(self) -> None:
        self._calls(self._connection.commit)

    def undo(self) -> None:
        self._calls(self._connection.rollback)

    def close(self) -> None:
        self._calls.close(self._connection.close)

    def _check(self, name: str, kind: str, wanted: str) -> None:
        """Raise StepError when values of a column would not come back from the type that the table has."""
        message = f"cannot be kept in the table's column, which is {wanted}: it is {kind}"
        if {kind, wanted} == set(CLOCKS):
            raise unfit(name, message)
        column = quoted(name)
        try:
            changed = self.run(
                f"SELECT count(*) FROM {STAGE} WHERE {column}::{wanted}::{kind} IS DISTINCT FROM {column}"
            )[0][0]
        except StepError as error:
            raise unfit(name, f"{message} ({error.message})") from error
        if changed:
            raise unfit(name, f"{message}, and {changed} values would change")

    def _run(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(statement, tuple(values) or None)
            return list(cursor.fetchall()) if cursor.description else []

    def _fetch(self, statement: str) -> pa.Table:
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(statement)
            return cursor.fetch_arrow_table()

    def _ingest(self, batch: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(STAGE, batch, mode="append", temporary=True)

    def _refusal(self, error: Exception) -> str | None:
        if not type(error).__module__.startswith("adbc_driver_manager"):
            return None
        if getattr(error, "sqlstate", None) == TIMEOUT:
            raise self._calls.too_slow() from error
        found = SAID.search(str(error))
        if found is None:
            return str(error).partition("\n")[0][:300]
        return ". ".join(part.strip() for part in found.group("text", "detail") if part)[:500]


def _connect(url: str) -> Any:
    import adbc_driver_postgresql.dbapi as driver

    parts = urlsplit(url)
    options = {"connect_timeout": str(CONNECTING), "application_name": "e2i", **dict(parse_qsl(parts.query))}
    return driver.connect(urlunsplit(parts._replace(query=urlencode(options))))


def _plain(piece: pa.Table, contract: Mapping[str, str]) -> pa.Table:
    """Return the rows in types that every tool knows. Raises StepError naming a column that has none."""
    import pyarrow as pa

    columns = [
        _column(field, column, contract.get(field.name))
        for field, column in zip(piece.schema, piece.columns, strict=True)
    ]
    return pa.table(columns, names=piece.column_names)


def _column(field: Any, column: Any, declared: str | None) -> Any:
    import pyarrow as pa

    kind = field.type
    if not isinstance(kind, pa.BaseExtensionType):
        if pa.types.is_nested(kind) or pa.types.is_interval(kind):
            raise unfit(field.name, f"has the type {kind}, which a table does not have", CAST)
        return column
    name = getattr(kind, "type_name", "") or kind.extension_name.rpartition(".")[2]
    if name == "numeric":
        return _decimals(field, column.combine_chunks().storage, declared)
    if name == "uuid":
        return pa.chunked_array(
            [pa.array([None if one is None else str(one) for one in column.to_pylist()], pa.string())]
        )
    if pa.types.is_string(kind.storage_type):  # JSON, and names of an enumeration
        return pa.chunked_array([column.combine_chunks().storage])
    raise unfit(field.name, f"has PostgreSQL's type {name}, which a table does not have", CAST)


def _decimals(field: Any, texts: Any, declared: str | None) -> Any:
    """Return exact numbers, by the precision of the column or of its contract."""
    import pyarrow as pa

    from e2i.tools.data.declared import arrow_type

    modifier = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) - 4
    if declared is not None:
        numbers = re.findall(r"\d+", declared)
        kind = pa.decimal128(*map(int, numbers)) if numbers else pa.type_for_alias(arrow_type(declared))
    elif modifier >= 0 and modifier >> 16 <= 38:
        kind = pa.decimal128(modifier >> 16, modifier & 0x7FF)
    else:
        raise unfit(field.name, "is numeric without a precision", "state it in `columns`, such as decimal(18,4)")
    try:
        return pa.chunked_array([texts.cast(kind)])
    except pa.ArrowInvalid as error:
        raise unfit(field.name, f"has a value that is no {declared or kind}: {error}") from error


def _sql_type(field: Any) -> str:
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_timestamp(kind):
        return CLOCKS[kind.tz is not None]
    if pa.types.is_decimal128(kind) and kind.scale >= 0:
        return f"numeric({kind.precision},{kind.scale})"
    found = TYPES.get(str(kind))
    if found is None:
        raise unfit(field.name, f"has the type {field.type}, which PostgreSQL does not keep", "convert the column")
    return found


def _ingestible(content: pa.Table) -> pa.Table:
    """Return the rows in types that the driver sends without loss."""
    import pyarrow as pa

    for index, field in enumerate(content.schema):
        kind, column = field.type, content.column(index)
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        if pa.types.is_timestamp(kind) and kind.unit != "us":
            try:
                column = column.cast(pa.timestamp("us", kind.tz))
            except pa.ArrowInvalid as error:
                raise unfit(field.name, "has times finer than a microsecond, or too far away") from error
        content = content.set_column(index, field.name, column)
    return content
