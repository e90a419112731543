"""Read from and write to SQLite files through Python's own driver, with types by the values of whole columns.

SQLite has a type for each value, not for each column. So a query is run twice in one transaction: first for the types
of its columns, then for its rows. An authorizer, called by SQLite for each part of a statement, allows only reading.
"""

from __future__ import annotations

import errno
import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from e2i.errors import StepError
from e2i.tools.database.session import BATCH, STAGE, Calls, Target, quoted, shape, unfit

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
FORBIDDEN = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
FILLED = """
SELECT name FROM pragma_table_info($1, $2) WHERE dflt_value IS NOT NULL OR (pk = 1 AND upper(type) = 'INTEGER')
"""
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
DECLARED = {"BOOLEAN": "boolean", "DATE": "date", "TIMESTAMPTZ": "timestamp"}
"""Types that a table declares, and that its values do not show."""
AFFINITIES = {
    "INT": "integer",
    "CHAR": "string",
    "TEXT": "string",
    "REAL": "number",
    "FLOA": "number",
    "DOUB": "number",
}
"""Parts of declared types, by which a column without values gets its type."""
BOOLEANS = {0: False, 1: True}
CLASSES = {"INTEGER": "integer", "BOOLEAN": "integer", "REAL": "real", "BLOB": "blob"}
"""Our types, with the storage class of their values; of others it is text."""
ARROW = {"integer": "int64", "real": "double", "text": "string", "blob": "binary"}
"""Storage classes with the Arrow types of columns that have only such values."""
STATE = "its values are kept otherwise by the table's column, which is"


def is_outage(error: BaseException) -> bool | None:
    """Return True when another process keeps the file locked; None for other exceptions than SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return None
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in BUSY


class SqliteSession:
    """Implements ``session.Session`` with ``sqlite3``."""

    def __init__(self, path: Path, calls: Calls, *, writes: bool = False) -> None:
        if not writes and not path.is_file():
            raise StepError(f"there is no file {path.name} of the connection", code="no-such-file")
        self._calls = calls
        self._path = path
        calls.refusal = self._refusal
        self._connection = calls(_connect, path, calls.seconds, "rwc" if writes else "ro")
        calls.abandon = self._connection.interrupt
        self._ends = math.inf
        self._connection.set_progress_handler(lambda: time.monotonic() > self._ends, STEPS)

    def read(self, query: str, params: Sequence[Any], contract: Mapping[str, str]) -> Iterator[pa.Table]:
        query = query.rstrip().rstrip(";")
        given = _numbered(params)
        self.run("BEGIN")
        self._connection.set_authorizer(_authorize)
        names = self._call(self._names, query, given)
        types = self._types(names, query, given, contract)
        cursor = self._call(self._connection.execute, query, given)
        first = True
        while True:
            rows = self._call(cursor.fetchmany, BATCH)
            if first or rows:
                yield _table(names, types, rows)
            if len(rows) < BATCH:
                return
            first = False

    def declared(self, table: Target) -> Mapping[str, str]:
        return {
            name: DECLARED.get(kind) or next((one for part, one in AFFINITIES.items() if part in kind), "")
            for name, kind in (self.columns(table) or {}).items()
        }

    def columns(self, table: Target) -> Mapping[str, str] | None:
        found = self.run("SELECT name, upper(type) FROM pragma_table_info($1, $2)", table.name, table.schema or "main")
        return dict(found) or None

    def filled(self, table: Target) -> Collection[str]:
        return {name for (name,) in self.run(FILLED, table.name, table.schema or "main")}

    def types(self, content: pa.Table) -> Mapping[str, str]:
        return {field.name: _sql_type(field) for field in content.schema}

    def stage(self, content: pa.Table, types: Mapping[str, str], present: Mapping[str, str] | None) -> None:
        kinds = {name: (present or types)[name] for name in types}
        self.run(f"DROP TABLE IF EXISTS temp.{STAGE}")
        self.run(f"CREATE TEMPORARY TABLE {STAGE} ({shape(kinds)})")
        places = ", ".join("?" for _ in types)
        for batch in content.to_batches(max_chunksize=BATCH):
            columns = [_values(column, field) for column, field in zip(batch.columns, batch.schema, strict=True)]
            rows = zip(*columns, strict=True)
            self._call(self._connection.executemany, f"INSERT INTO temp.{STAGE} VALUES ({places})", rows)
        for name, kind in types.items():
            wanted = CLASSES.get(kind, "text")
            count = self.run(
                f"SELECT count(*) FROM temp.{STAGE} AS s WHERE typeof(s.{quoted(name)}) NOT IN ('null', $1)", wanted
            )
            if count[0][0]:
                raise unfit(name, f"is {kind}, and {count[0][0]} of {STATE} {kinds[name] or 'without a type'}")

    def staged(self, name: str, kind: str) -> str:
        return f"{STAGE}.{quoted(name)}"  # the stage has the table's own types

    def lock(self, table: Target) -> None:
        self.run("BEGIN IMMEDIATE")

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._call(self._run, statement, _numbered(values))

    def commit(self) -> None:
        self._call(self._connection.commit)

    def undo(self) -> None:
        self._call(self._connection.rollback)

    def close(self) -> None:
        self._calls.close(self._connection.close)

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        self._ends = time.monotonic() + self._calls.seconds
        return self._calls(function, *args)

    def _run(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def _names(self, query: str, given: Mapping[str, Any]) -> list[str]:
        cursor = self._connection.execute(query, given)
        return [column[0] for column in cursor.description or ()]

    def _types(
        self, names: Sequence[str], query: str, given: Mapping[str, Any], contract: Mapping[str, str]
    ) -> list[str]:
        """Return the Arrow type of each column, by the types of its values. Raises StepError naming a mixed one."""
        inner = [f"c{index}" for index in range(len(names))]
        counts = ", ".join(f"total(typeof({one}) = '{kind}')" for one in inner for kind in ARROW)
        (row,) = self._call(
            self._run, f"WITH e2i_rows({', '.join(inner)}) AS (\n{query}\n) SELECT {counts} FROM e2i_rows", given
        )
        kinds = [_kind(name, row[4 * index : 4 * index + 4]) for index, name in enumerate(names)]
        return [
            "bool" if kind == "int64" and contract.get(name) == "boolean" else kind
            for name, kind in zip(names, kinds, strict=True)
        ]

    def _refusal(self, error: Exception) -> str | None:
        if not isinstance(error, (sqlite3.Error, sqlite3.Warning)):
            return None
        if getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":  # a run that meets a full disk can be resumed
            raise OSError(errno.ENOSPC, str(error), os.fspath(self._path)) from error
        if str(error) == "interrupted":
            raise self._calls.too_slow() from error
        if str(error) == "not authorized" or "prohibited" in str(error):
            return f"only one SELECT can be read ({error})"
        return str(error)[:500]


def _connect(path: Path, seconds: float, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)


def _authorize(action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None) -> int:
    if action not in ALLOWED or (action == sqlite3.SQLITE_FUNCTION and str(second).lower() in FORBIDDEN):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _numbered(values: Sequence[Any]) -> dict[str, Any]:
    """Return values for $1, $2 …"""
    return {str(number): value for number, value in enumerate(values, 1)}


def _kind(name: str, counts: Sequence[float]) -> str:
    kinds = [kind for kind, count in zip(ARROW.values(), counts, strict=True) if count]
    if kinds == ["int64", "double"]:
        return "double"
    if len(kinds) > 1:
        found = " and ".join(kinds)
        raise unfit(name, f"has values of different types: {found}", "cast it in the query, such as CAST(x AS TEXT)")
    return kinds[0] if kinds else "null"


def _table(names: Sequence[str], types: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays = []
    for name, kind, values in zip(names, types, columns, strict=True):
        try:
            if kind == "bool":  # SQLite has 0 and 1
                arrays.append(pa.array([None if one is None else BOOLEANS[one] for one in values], pa.bool_()))
            else:
                arrays.append(pa.array(values, pa.type_for_alias(kind)))
        except (KeyError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise unfit(name, f"cannot be read as {kind}: {error}", "cast it in the query") from error
    return pa.table(arrays, names=list(names))


def _sql_type(field: Any) -> str:
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_floating(kind):
        return "REAL"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "TEXT"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "BLOB"
    if pa.types.is_date32(kind):
        return "DATE"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return "TIMESTAMPTZ"
    raise unfit(field.name, f"has the type {field.type}, which SQLite does not keep", "convert it to numbers or texts")


def _values(column: Any, field: Any) -> list[Any]:
    """Return the values as SQLite keeps them. Raises StepError naming a column with a value that it does not keep."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        raise unfit(field.name, "has NaN, which SQLite keeps as NULL", "replace NaN before")
    if pa.types.is_uint64(kind) and pc.any(pc.greater(column, pa.scalar(2**63 - 1, pa.uint64()))).as_py():
        raise unfit(field.name, "has integers of more than 63 bits, which SQLite does not keep")
    if pa.types.is_timestamp(kind):
        try:
            column = pc.strftime(column.cast(pa.timestamp("us", "UTC")), "%Y-%m-%d %H:%M:%SZ")
        except pa.ArrowInvalid as error:
            raise unfit(field.name, "has times finer than a microsecond") from error
    elif pa.types.is_date32(kind):
        column = column.cast(pa.string())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    values: list[Any] = column.to_pylist()
    return values
