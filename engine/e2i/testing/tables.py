"""Tables of test cases: made of rows, CSV or files, and compared.

In: what a test file says of a table. Out: an Arrow table, or the lines that say where two tables differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from e2i.spec import suggest
from e2i.spec.suggest import few
from e2i.testing.models import Row
from e2i.testing.named import NamedFiles
from e2i.testing.reading import TableError, arrow_type, expect_zone, of_csv, of_file

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("int64", "int32", "float64", "double", "string", "bool", "date32", "timestamp[us]", "timestamp[us, tz=UTC]")
"""Arrow types to suggest."""
MOST_LINES = 12
"""Limit on the differences that are shown."""
WIDEST = 24
"""Maximum width of a value in a difference, in characters."""


def made(written: Row, files: NamedFiles, types: Mapping[str, str | None], *, whole: bool = True) -> pa.Table:
    """Returns the table of ``rows``, ``csv`` or ``file``.

    ``types`` are the Arrow types of the known columns; empty: not known. ``whole``: those that are left out are null.
    Raises TableError.
    """
    sources = [name for name in ("rows", "csv", "file") if written.get(name) is not None]
    if len(sources) != 1:
        raise TableError("a table has one of rows, csv and file", hint="write {rows: [{column: value}]}")
    own = {**types, **_written_types(written.get("types"))}
    match sources[0]:
        case "rows":
            found = _of_rows(written["rows"], own)
        case "csv":
            found = of_csv(str(written["csv"]).encode(), own, ("csv",))
        case _:
            found = of_file(str(written["file"]), files, own)
    for name in _written_types(written.get("types")):
        if name not in found.column_names and (name not in types or not whole) and found.num_rows:
            message = f"the table has no column {name!r}"
            raise TableError(message, ("types", name), suggest.hint(name, found.column_names))
    return _completed(found, types) if whole else found


def _written_types(written: Any) -> Mapping[str, str | None]:
    """Returns the types that a test file declares."""
    if written is None:
        return {}
    hint = "write types: {column: int64}"
    if not isinstance(written, dict):
        raise TableError("types are a mapping of columns to Arrow types", ("types",), hint)
    for name, text in written.items():
        if not isinstance(text, str):
            raise TableError(f"the type of column {name!r} is no text", ("types", name), hint)
        try:
            kind = arrow_type(text)
            expect_zone(kind)
        except (ValueError, LookupError, OverflowError) as error:
            raise TableError(f"the type of column {name!r} is wrong: {error}", ("types", name), hint) from error
        if kind is None:
            message = f"the type of column {name!r} is unknown: {text}"
            raise TableError(message, ("types", name), suggest.hint(text, TYPES) or hint)
    return written


def _of_rows(rows: Any, types: Mapping[str, str | None]) -> pa.Table:
    import pyarrow as pa

    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TableError("rows are a list of mappings", ("rows",), "write [{column: value}, …]")
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = {name: _array([row.get(name) for row in rows], types.get(name), name) for name in names}
    return pa.table(arrays)


def _array(values: list[Any], declared: str | None, name: str) -> Any:
    import pyarrow as pa

    kind = arrow_type(declared)
    try:
        if kind is None:
            return pa.array(values)
        return _cast(pa.array(values), kind)
    except (pa.ArrowException, OverflowError, LookupError, TypeError, ValueError) as error:
        said = str(error).partition("\n")[0][:160]
        index = next((index for index, value in enumerate(values) if not _fits(value, kind)), 0)
        what = f" as {declared}" if declared else ""
        raise TableError(f"column {name!r} cannot be read{what}: {said}", ("rows", index, name)) from error


def _fits(value: Any, kind: Any) -> bool:
    import pyarrow as pa

    try:
        made = pa.array([value])
        _ = made if kind is None else _cast(made, kind)
    except (pa.ArrowException, OverflowError, LookupError, TypeError, ValueError):
        return False
    return True


def _cast(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(array.type) and pa.types.is_timestamp(kind) and kind.tz is not None:
        naive = array.cast(pa.timestamp(kind.unit)) if not _has_zone(array) else None
        return array.cast(kind) if naive is None else naive.cast(kind)
    return array.cast(kind)


def _has_zone(array: Any) -> bool:
    return any(value is not None and re.search(r"(Z|[+-]\d\d:?\d\d)$", value) for value in array.to_pylist())


def _completed(table: pa.Table, types: Mapping[str, str | None]) -> pa.Table:
    """Returns the table with the known columns in their order; those that are left out are null."""
    import pyarrow as pa

    if not types:
        return table
    for name, declared in types.items():
        if name not in table.column_names:
            kind = arrow_type(declared) or pa.null()
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    rest = [name for name in table.column_names if name not in types]
    return table.select([*types, *rest])


def differences(expected: pa.Table, actual: pa.Table, by: Sequence[str], tolerance: float) -> list[str]:
    """Returns lines that say where the tables differ in the columns of ``expected``; none when they are equal."""
    missing = [name for name in (*expected.column_names, *by) if name not in actual.column_names]
    if missing:
        return [f"the table has no column {few(sorted(set(missing)))}; it has {few(actual.column_names)}"]
    if unknown := [name for name in by if name not in expected.column_names]:
        return [f"the expected rows have no column {few(unknown)}, which `by` names"]
    names = expected.column_names
    wanted, found = expected.to_pylist(), actual.select(names).to_pylist()
    if by:
        return _by_key(wanted, found, by, names, tolerance)
    lines = []
    if len(wanted) != len(found):
        lines.append(f"{len(found)} rows instead of {len(wanted)}")
    cells = [
        (f"row {index + 1}", name, row[name], other[name])
        for index, (row, other) in enumerate(zip(wanted, found, strict=False))
        for name in names
        if not equal(row[name], other[name], tolerance)
    ]
    return lines + grid(cells) + _extra(wanted[len(found) :], "-") + _extra(found[len(wanted) :], "+")


def _by_key(
    wanted: list[Any], found: list[Any], by: Sequence[str], names: Sequence[str], tolerance: float
) -> list[str]:
    def key(row: Row) -> tuple[str, ...]:
        return tuple(plain(row[name]) for name in by)

    there = {key(row): row for row in found}
    listed = {key(row): row for row in wanted}
    if len(there) < len(found):
        return [f"{few(list(by))} does not identify the rows of the table: some values occur twice"]
    cells = [
        (", ".join(f"{name}={value}" for name, value in zip(by, one, strict=True)), name, row[name], there[one][name])
        for one, row in listed.items()
        if one in there
        for name in names
        if not equal(row[name], there[one][name], tolerance)
    ]
    lost = [row for one, row in listed.items() if one not in there]
    more = [row for one, row in there.items() if one not in listed]
    return grid(cells) + _extra(lost, "-") + _extra(more, "+")


def grid(cells: list[tuple[str, str, Any, Any]]) -> list[str]:
    """Returns cells that differ as aligned lines."""
    if not cells:
        return []
    shown = [(where, name, short(one), short(other)) for where, name, one, other in cells[:MOST_LINES]]
    table = [("row", "column", "expected", "actual"), *shown]
    widths = [max(len(line[index]) for line in table) for index in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return lines + ([f"… and {len(cells) - MOST_LINES} more values"] if len(cells) > MOST_LINES else [])


def _extra(rows: list[Any], sign: str) -> list[str]:
    """Returns rows that only one of the tables has."""
    lines = [
        f"{sign} {', '.join(f'{name}={short(value)}' for name, value in row.items())}" for row in rows[:MOST_LINES]
    ]
    return lines + ([f"{sign} … and {len(rows) - MOST_LINES} more rows"] if len(rows) > MOST_LINES else [])


def equal(one: Any, other: Any, tolerance: float) -> bool:
    """Returns whether two values are equal; numbers within the tolerance, absolute or relative."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other or one == other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(lambda a, b: equal(a, b, tolerance), one, other))
    return one == other or plain(one) == plain(other)


def plain(value: Any) -> str:
    """Returns a value as text; times in one form."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def short(value: Any) -> str:
    """Returns a value as short text."""
    text = "null" if value is None else plain(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
