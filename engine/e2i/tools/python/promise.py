"""State what a call returns: as the spec declares it, or else as the function is annotated.

In: declared outputs, a signature. Out: a ``Promise``, which the plan relies on and the run enforces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.catalog.columns import KnownTable, Shape, Shapes, Unknown, settled
from e2i.catalog.shapes import ANY, NULL, simple
from e2i.tools.python.signature import Signature

ARROW = {"string": "string", "integer": "int64", "number": "double", "boolean": "bool", "date": "date32[day]",
         "timestamp": "timestamp[us, tz=UTC]"}  # fmt: skip
"""The Arrow types of declared columns."""
TABLE = "table"
NONE = Shape("mapping")
"""A mapping without entries."""


class Promise(Struct, frozen=True):
    """The outputs of a call. ``named``: each is an entry of a mapping."""

    value: Shapes
    table: Shapes
    outputs: Shape
    named: bool


def of(declared: Mapping[str, Any], signature: Signature | None) -> Promise | None:
    """Return the promise; None where nothing is known before the function has returned."""
    if declared:
        entries: dict[str | int, Shapes] = {name: _declared(item) for name, item in declared.items()}
        return _by_name(Shape("mapping", entries))
    if signature is None:
        return None
    if signature.entries is not None:
        return _by_name(signature.entries)
    returned = signature.returned
    if all(shape.type == "mapping" and _is_tables(shape.rest) for shape in returned):
        return _by_name(returned[0])
    if any(shape.type == "any" or (shape.type == "mapping" and _may_hold_tables(shape)) for shape in returned):
        return None
    tables = tuple(shape for shape in returned if shape.type == "table")
    values = tuple(shape for shape in returned if shape.type != "table")
    if tables and values:  # one of them is null
        tables, values = (*tables, *NULL), (*values, *NULL)
    return Promise(values or NULL, tables or NULL, NONE, named=False)


def _by_name(entries: Shape) -> Promise:
    """Return the promise of entries. A table that is named ``table`` is the output of that name as well."""
    shapes = entries.inside.get(TABLE) or entries.rest or ()
    tables = tuple(shape for shape in shapes if shape.type in ("table", "any"))
    is_sure = tables == shapes and TABLE in entries.inside and TABLE not in entries.optional
    return Promise(NULL, tables if tables and is_sure else (*tables, *NULL), entries, named=True)


def _declared(declared: Any) -> Shapes:
    match declared:
        case Unknown():
            return ANY
        case _ if not settled(declared):
            return simple("table")
        case str():
            return simple(declared)
        case Mapping():
            return (Shape("table", table=KnownTable({name: ARROW.get(item) for name, item in declared.items()})),)
    return (Shape("table", table=KnownTable(dict.fromkeys(declared))),)


def _is_tables(shapes: Shapes | None) -> bool:
    return bool(shapes) and all(shape.type == "table" for shape in shapes or ())


def _may_hold_tables(shape: Shape) -> bool:
    inner = [*(shape.rest or ()), *(item for shapes in shape.inside.values() for item in shapes)]
    return any(item.type in ("any", "table") for item in inner)
