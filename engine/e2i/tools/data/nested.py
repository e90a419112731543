"""Look inside nested columns. In: an Arrow column of any type. Out: the floats in it, however deep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def floats(column: Any) -> Iterator[Any]:
    """Yield arrays of all floats in a column: its own, and those in lists, maps, structs and dictionaries."""
    import pyarrow as pa

    for array in column.chunks:
        yield from _floats(array, pa)


def _floats(array: Any, pa: Any) -> Iterator[Any]:
    kind = array.type
    if pa.types.is_map(kind):
        entry = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
        yield from _floats(array.cast(pa.list_(entry)), pa)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _floats(array.flatten(), pa)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _floats(child, pa)
    elif pa.types.is_dictionary(kind):
        yield from _floats(array.dictionary_decode(), pa)
    elif pa.types.is_floating(kind):
        yield array
