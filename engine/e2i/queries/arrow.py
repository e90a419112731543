"""Gives the columns of a result the types that they were planned with. In: names of types, arrays. Out: the same."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from e2i.queries import nested


def schema(columns: Mapping[str, str | None]) -> Any:
    """Returns the Arrow schema of columns."""
    import pyarrow as pa

    return pa.schema([pa.field(name, of(kind)) for name, kind in columns.items() if kind is not None])


def of(name: str) -> Any:
    """Returns the Arrow type of a name such as ``list<item: double>``."""
    import pyarrow as pa

    if found := nested.of_arrow(name):
        types = [of(kind) for kind in found.types]
        match found.kind:
            case "list":
                return pa.list_(types[0])
            case "array":
                return pa.list_(types[0], int(found.size))
            case "map":
                return pa.map_(*types)
        return pa.struct(list(zip(found.names, types, strict=True)))
    special = {
        "date32[day]": pa.date32(),
        "time64[us]": pa.time64("us"),
        "timestamp[us]": pa.timestamp("us"),
        "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
        "bool": pa.bool_(),
        "null": pa.null(),
    }
    return special.get(name) or pa.type_for_alias(name)


def has_nanoseconds(column: Any) -> bool:
    """Returns True when a column of times has one that is no multiple of a microsecond."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type.unit != "ns":
        return False
    ticks = (chunk.cast(pa.int64()) for chunk in column.chunks)
    return any(pc.any(pc.not_equal(pc.multiply(pc.divide(one, 1000), 1000), one)).as_py() for one in ticks)


def cast(column: Any, kind: Any) -> Any:
    """Returns a column of a result in its type. Raises ArrowInvalid for an integer that does not fit, or a decimal
    above 2^53 that is no floating-point number.
    """
    import pyarrow as pa

    if pa.types.is_decimal(column.type) and pa.types.is_floating(kind):
        _refuse_rounding(column)
        return column.cast(kind, safe=False)  # the nearest number
    if pa.types.is_timestamp(column.type):
        return column.cast(kind, safe=False)  # nanoseconds are cut off
    return column.cast(kind)


EXACT = 2**53
"""Up to here each integer is a floating-point number of 64 bits."""


def _refuse_rounding(column: Any) -> None:
    """Raises ArrowInvalid for the first large decimal whose nearest floating-point number is another number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type.precision - column.type.scale < 16:
        return
    for value in column.filter(pc.greater(pc.abs(column), pa.scalar(Decimal(EXACT)))).to_pylist():
        if value is not None and Decimal(float(value)) != value:
            raise pa.ArrowInvalid(f"{value} is rounded to {float(value):.0f}")
