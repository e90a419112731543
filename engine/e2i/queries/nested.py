"""Reads and writes the names of nested types: lists, arrays, structs, maps. In: a name in Arrow or DuckDB. Out: parts.

A nested type is a ``Nested``: its kind, the names of its fields, and the names of the types inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

Inner = Callable[[str], str | None]
"""Returns the name of an inner type in the other language; None when there is none."""
_OPEN, _CLOSE = "<([", ">)]"
_ARRAY = re.compile(r"(.*)\[(\d*)\]", re.DOTALL)
_FIXED = re.compile(r"fixed_size_list<(.*)>\[(\d+)\]", re.DOTALL)


class Nested(Struct, frozen=True):
    """A list, an array of ``size`` items, a struct or a map."""

    kind: str
    types: tuple[str, ...]
    names: tuple[str, ...] = ()
    size: str = ""


def of_arrow(name: str) -> Nested | None:
    """Returns the parts of an Arrow type such as ``struct<a: int64, b: list<item: string>>``."""
    if fixed := _FIXED.fullmatch(name):
        return Nested("array", (_field(fixed[1])[1],), size=fixed[2])
    if not name.endswith(">"):
        return None
    kind, _, rest = name[:-1].partition("<")
    match kind:
        case "list" | "large_list":
            return Nested("list", (_field(rest)[1],))
        case "map":
            return Nested("map", tuple(_plain(part) for part in _split(rest)))
        case "struct":
            fields = [_field(part) for part in _split(rest)]
            return Nested("struct", tuple(kind for _, kind in fields), tuple(name for name, _ in fields))
    return None


def of_duckdb(name: str) -> Nested | None:
    """Returns the parts of a DuckDB type such as ``STRUCT(a BIGINT, b VARCHAR[])``."""
    if array := _ARRAY.fullmatch(name):
        return Nested("array" if array[2] else "list", (array[1],), size=array[2])
    if name.startswith("MAP("):
        return Nested("map", tuple(_split(name[4:-1])))
    if name.startswith("STRUCT("):
        fields = [_named(part) for part in _split(name[7:-1])]
        return Nested("struct", tuple(kind for _, kind in fields), tuple(name for name, _ in fields))
    return None


def to_arrow(nested: Nested, inner: Inner) -> str | None:
    """Returns the Arrow name of a nested type."""
    types = _inner(nested, inner)
    if types is None:
        return None
    match nested.kind:
        case "list":
            return f"list<item: {types[0]}>"
        case "array":
            return f"fixed_size_list<item: {types[0]}>[{nested.size}]"
        case "map":
            return f"map<{', '.join(types)}>"
    fields = (f"{name}: {kind}" for name, kind in zip(nested.names, types, strict=True))
    return f"struct<{', '.join(fields)}>"


def to_duckdb(nested: Nested, inner: Inner) -> str | None:
    """Returns the DuckDB name of a nested type."""
    types = _inner(nested, inner)
    if types is None:
        return None
    match nested.kind:
        case "list" | "array":
            return f"{types[0]}[{nested.size}]"
        case "map":
            return f"MAP({', '.join(types)})"
    quoted = ('"' + name.replace('"', '""') + '"' for name in nested.names)
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in zip(quoted, types, strict=True))})"


def _inner(nested: Nested, inner: Inner) -> list[str] | None:
    types = [found for kind in nested.types if (found := inner(kind)) is not None]
    return types if len(types) == len(nested.types) else None


def _field(text: str) -> tuple[str, str]:
    name, _, kind = text.partition(": ")
    return name, _plain(kind)


def _plain(kind: str) -> str:
    return kind.removesuffix(" not null")


def _named(text: str) -> tuple[str, str]:
    """Returns the name and the type of a field of a DuckDB struct. A name may be in quotes."""
    if not text.startswith('"'):
        name, _, kind = text.partition(" ")
        return name, kind
    end = next(place for place in range(1, len(text)) if text[place] == '"' and text[: place + 1].count('"') % 2 == 0)
    return text[1:end].replace('""', '"'), text[end + 2 :]


def _split(text: str) -> Iterator[str]:
    """Yields the parts between commas that are in no brackets or quotes."""
    depth, start, is_quoted = 0, 0, False
    for place, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()
