"""Read JSON lines with pyarrow. In: a path, declared types. Out: an Arrow table. Texts stay texts, also times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from e2i.errors import StepError
from e2i.tools.data import nested, streams

MOST = (1 << 31) - 1
EXACT = 1 << 53  # Every integer up to here is a double.
LONG = re.compile(rb"[0-9]{16}")


def read(path: Path, shown: str, types: Mapping[str, str]) -> Any:
    """Return the table of a file with one JSON object a line. Columns that a line lacks are null there.

    Raises an error of pyarrow when a column has values of several types, and StepError when an integer would change
    since its column is read as doubles.
    """
    import pyarrow as pa

    content = _content(path)
    table = _parsed(content, None)
    schema = pa.schema([field.with_type(_without_times(field.type)) for field in table.schema])
    table = table if schema == table.schema else _parsed(content, schema)
    doubles = {name for name in table.column_names if types.get(name) != "number" and _beyond(table[name])}
    if doubles:
        _refuse_changed(content, doubles, shown)
    return table


def _content(path: Path) -> bytes:
    with streams.binary(path) as file:
        content = file.read()
    content.decode("utf-8")
    return content.removeprefix(b"\xef\xbb\xbf")


def _parsed(content: bytes, schema: Any) -> Any:
    """Return the table. Its types are known from one block, so a type cannot change from block to block."""
    import pyarrow as pa
    import pyarrow.json as pj

    size = min(max(len(content) + 1, 1 << 16), MOST)
    return pj.read_json(
        pa.BufferReader(content),
        pj.ReadOptions(block_size=size, use_threads=False),
        pj.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _without_times(kind: Any) -> Any:
    """Return the type with texts in place of the times that pyarrow recognises in texts."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
    return kind


def _beyond(column: Any) -> bool:
    """Return whether a column holds a double so large that it may stand for another integer."""
    import pyarrow.compute as pc

    return any(pc.any(pc.greater_equal(pc.abs(array), float(EXACT))).as_py() for array in nested.floats(column))


def _refuse_changed(content: bytes, columns: set[str], shown: str) -> None:
    """Raise StepError for the first integer in some columns that no double is equal to."""
    for number, line in enumerate(content.splitlines(), 1):
        if not LONG.search(line):
            continue
        row = json.loads(line, parse_int=Decimal)
        for name in columns & row.keys():
            for value in _integers(row[name]):
                if value != float(value):
                    raise StepError(
                        f"{shown}, line {number}: column {name!r} has the integer {str(value)[:40]}, and is read as "
                        "doubles, which cannot hold it",
                        code="bad-value",
                        hint="write such identifiers as texts, or set the type of the column to `number` to round them",
                    )


def _integers(value: Any) -> Iterator[Decimal]:
    """Yield the integers of a JSON value."""
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            yield from _integers(item)
