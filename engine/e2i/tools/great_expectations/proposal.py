"""Propose a suite from a table, for review. In: rows, how far new rows may differ. Out: expectations, as mappings.

Proposals are conservative: each is met by the table, with a margin, and only what the table shows clearly is proposed.
Nothing is drawn at random: equal tables have equal proposals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.great_expectations import shapes

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST = 20
"""Rows from which uniqueness is proposed."""
SEEN = 20
"""Rows for each distinct value from which the values are proposed as a set."""
LARGEST = 2**63
PANDAS = {
    "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64", "uint8": "uint8", "uint16": "uint16",
    "uint32": "uint32", "uint64": "uint64", "float": "float32", "double": "float64", "bool": "bool", "string": "str",
    "date32[day]": "date",
}  # fmt: skip
"""Arrow type → the name of the type that Great Expectations finds in a column of it without nulls."""

Items = Iterator[dict[str, Any]]


class Margins(Struct, frozen=True):
    """How far new rows may differ from those of the table.

    ``values`` is a share of a column's range, ``rows`` one of the number of rows, ``nulls`` one of all rows. A column
    with at most ``distinct`` values may have no others.
    """

    values: float = 0.1
    rows: float = 0.5
    nulls: float = 0.05
    distinct: int = 20


def propose(table: pa.Table, margins: Margins, key: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Any]:
    """Return expectations in the order of the table's columns, first those about the table as a whole.

    ``key`` are columns that identify a row. Raises StepError when they do not, or for an unknown column.
    """
    for name in (*key, *exclude):
        if name not in table.column_names:
            raise StepError(
                f"the table has no column {name!r}",
                code="unknown-column",
                hint=hint(name, table.column_names, most=40),
            )
    if not table.num_rows:
        raise StepError("there are no rows to learn from", code="empty-table", hint="check what makes the table")
    kept = table.select([name for name in table.column_names if name not in exclude])
    found = list(_of_table(kept, margins, is_all=not exclude))
    unique = [name for name in kept.column_names if _is_unique(kept[name])]
    for name in kept.column_names:
        found += _of_column(name, kept[name], margins, is_unique=name in unique)
    return [*found, *_of_key(table, list(key), unique)]


def _of_table(table: pa.Table, margins: Margins, *, is_all: bool) -> Items:
    count = table.num_rows
    least, most = max(1, math.floor(count * (1 - margins.rows))), math.ceil(count * (1 + margins.rows))
    notes = f"The table had {count} rows."
    yield {"type": "expect_table_row_count_to_be_between", "min_value": least, "max_value": most, "notes": notes}
    if is_all:
        yield {"type": "expect_table_columns_to_match_set", "column_set": table.column_names, "exact_match": True}
    else:
        yield from ({"type": "expect_column_to_exist", "column": name} for name in table.column_names)


def _of_column(name: str, column: pa.ChunkedArray, margins: Margins, *, is_unique: bool) -> Items:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    values = column.filter(pc.invert(pc.is_null(column, nan_is_null=True)))
    yield from _of_nulls(name, len(column), len(values), margins)
    if not len(values):
        return
    if len(values) == len(column) and (named := PANDAS.get(str(kind).replace("large_", ""))):
        yield {"type": "expect_column_values_to_be_of_type", "column": name, "type_": named}
    if _is_nested(kind):
        return
    if is_unique:
        yield {"type": "expect_column_values_to_be_unique", "column": name, "notes": "A candidate for a key."}
    distinct = pc.count_distinct(values).as_py()
    if distinct > 1:
        yield {"type": "expect_column_unique_value_count_to_be_between", "column": name, "min_value": 2}
    is_set = distinct <= margins.distinct and len(values) >= SEEN * distinct
    if is_set and (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        known = sorted(pc.unique(values).to_pylist())
        yield {"type": "expect_column_values_to_be_in_set", "column": name, "value_set": known}
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        yield from _of_numbers(name, values, margins, is_whole=pa.types.is_integer(kind))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        yield from _of_times(name, values, margins)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from _of_texts(name, values, margins)


def _of_nulls(name: str, count: int, present: int, margins: Margins) -> Items:
    item = {"type": "expect_column_values_to_not_be_null", "column": name}
    if present == count:
        yield item
        return
    share = present / count
    mostly = math.floor(1_000 * (share - max(margins.nulls, 3 * math.sqrt(share * (1 - share) / count)))) / 1_000
    if mostly > 0:
        yield {**item, "mostly": mostly, "notes": f"{100 * (1 - share):.3g} % of the rows had no value."}


def _of_numbers(name: str, values: pa.ChunkedArray, margins: Margins, *, is_whole: bool) -> Items:
    import pyarrow.compute as pc

    least, most = pc.min_max(values).as_py().values()
    if not (math.isfinite(least) and math.isfinite(most)):
        return  # the table has infinite values, so that no range says anything
    bounds = _whole(least, most, margins) if is_whole else _real(float(least), float(most), margins)
    if is_whole and (bounds[0] < -LARGEST or bounds[1] >= LARGEST):
        return  # YAML here has no such numbers
    # A sign that no value had is another thing than a margin.
    low = max(bounds[0], 0) if least >= 0 else bounds[0]
    high = min(bounds[1], 0) if most <= 0 else bounds[1]
    notes = f"The values were from {least} to {most}."
    yield {
        "type": "expect_column_values_to_be_between",
        "column": name,
        "min_value": low,
        "max_value": high,
        "notes": notes,
    }


def _whole(least: int, most: int, margins: Margins) -> tuple[int, int]:
    slack = math.ceil(margins.values * ((most - least) or abs(least) or 1))
    return least - slack, most + slack


def _real(least: float, most: float, margins: Margins) -> tuple[float, float]:
    slack = margins.values * ((most - least) or abs(least) or 1.0)
    return _rounded(least - slack, down=True), _rounded(most + slack, down=False)


def _of_times(name: str, values: pa.ChunkedArray, margins: Margins) -> Items:
    """Yield a range of time. Later rows are expected: it ends as long after the last as that is after the first."""
    import datetime as dt

    import pyarrow as pa
    import pyarrow.compute as pc

    is_date = pa.types.is_date(values.type)
    zone = getattr(values.type, "tz", None)
    ends = pc.min_max(values.cast(pa.timestamp("us", zone), safe=False)).as_py()
    least, most = ends["min"], ends["max"]
    span = max(most - least, dt.timedelta(days=1))
    try:
        low, high = least - margins.values * span - dt.timedelta(microseconds=1), most + span
    except OverflowError:  # at an end of the calendar
        return
    shown = [(one.date() if is_date else one).isoformat() for one in (low, high)]
    yield {
        "type": "expect_column_values_to_be_between",
        "column": name,
        "min_value": shown[0],
        "max_value": shown[1],
        "notes": f"The values were from {least.isoformat()} to {most.isoformat()}.",
    }


def _of_texts(name: str, values: pa.ChunkedArray, margins: Margins) -> Items:
    import pyarrow.compute as pc

    shape = shapes.common(pc.unique(values).to_pylist())
    if shape is not None:
        yield {"type": "expect_column_values_to_match_regex", "column": name, "regex": shape}
        return
    ends = pc.min_max(pc.utf8_length(values)).as_py()
    slack = math.ceil(margins.values * max(ends["max"] - ends["min"], 10))
    yield {
        "type": "expect_column_value_lengths_to_be_between",
        "column": name,
        "min_value": max(min(1, ends["min"]), ends["min"] - slack),
        "max_value": ends["max"] + slack,
    }


def _of_key(table: pa.Table, key: list[str], unique: Sequence[str]) -> Items:
    """Yield that the given key identifies a row. Raises StepError when it does not."""
    if not key:
        return
    grouped = table.select(key).group_by(key).aggregate([([], "count_all")])
    if grouped.num_rows < table.num_rows:
        raise StepError(
            f"{', '.join(key)} do not identify a row: {table.num_rows - grouped.num_rows} rows repeat another",
            code="ambiguous-key",
            hint="add a column to `key`, or remove the repeated rows by table.dedupe",
        )
    if len(key) > 1:
        yield {"type": "expect_compound_columns_to_be_unique", "column_list": key}
    elif key[0] not in unique:
        yield {"type": "expect_column_values_to_be_unique", "column": key[0]}


def _is_unique(column: pa.ChunkedArray) -> bool:
    """Return whether texts or whole numbers are without nulls, and each occurs once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    is_key = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    return (
        is_key and len(column) >= FEWEST and not column.null_count and pc.count_distinct(column).as_py() == len(column)
    )


def _is_nested(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _rounded(value: float, *, down: bool) -> float:
    """Return the value with three significant digits, rounded away from the values."""
    if value == 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    found = (math.floor if down else math.ceil)(value / step) * step
    return float(f"{found:.12g}")
