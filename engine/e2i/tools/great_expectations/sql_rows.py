"""Read rows of a database as a table, in the types that its columns declare. In: a connection, a query. Out: rows.

One SELECT, in batches. A column of another type, or with a value that its type does not have (SQLite keeps any), is
named in the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2i.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 20_000
"""Rows that are fetched at a time."""


def read(connection: Any, query: Any, table: Any) -> pa.Table:
    """Return the rows of a query with the columns of ``table``. Raises BadInput naming a column."""
    import pyarrow as pa

    schema = pa.schema([(column.name, _arrow_type(column)) for column in table.columns])
    found = connection.execution_options(stream_results=True, yield_per=BATCH).execute(query)
    return pa.Table.from_batches(list(_batches(found, schema)), schema=schema)


def _batches(found: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for rows in found.partitions():
        columns = zip(*rows, strict=True)
        arrays = [_array(field, values) for field, values in zip(schema, columns, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _array(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(field.type):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"column {field.name!r} has a value that is no {field.type}: {error}",
            code="bad-column",
            hint="cast it in a view of the database",
        ) from error


def _arrow_type(column: Any) -> pa.DataType:
    """Return the Arrow type of a column. Raises BadInput for one that has none."""
    import pyarrow as pa
    import sqlalchemy.types as sql

    kind = column.type
    match kind:
        case sql.Boolean():
            return pa.bool_()
        case sql.SmallInteger():
            return pa.int16()
        case sql.Integer():
            return pa.int64()
        case sql.Float():  # PostgreSQL's real has 32 bits, SQLite's 64
            return pa.float64()
        case sql.Numeric() if kind.precision is not None and kind.precision <= 38:
            return pa.decimal128(kind.precision, kind.scale or 0)
        case sql.DateTime():
            return pa.timestamp("us", "UTC" if kind.timezone else None)
        case sql.Date():
            return pa.date32()
        case sql.Time() if not kind.timezone:
            return pa.time64("us")
        case sql.String() | sql.Uuid():
            return pa.string()
        case sql.LargeBinary():
            return pa.binary()
    raise BadInput(
        f"column {column.name!r} is {kind!s:.60}, which a table cannot have",
        code="bad-column",
        hint="cast it in a view of the database, or read it by database.read",
    )
