"""Read JSON lines with pyarrow. In: a path, declared types. Out: an Arrow table. Texts stay texts, also times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2i.tools.data import streams

MOST = (1 << 31) - 1


def read(path: Path, shown: str, types: Mapping[str, str]) -> Any:
    """Return the table of a file with one JSON object a line. Columns that a line lacks are null there.

    Raises an error of pyarrow when a column has values of several types.
    """
    import pyarrow as pa

    content = _content(path)
    table = _parsed(content, None)
    schema = pa.schema([field.with_type(_without_times(field.type)) for field in table.schema])
    return table if schema == table.schema else _parsed(content, schema)


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
