"""Compare values with the shapes that a declaration or an annotation allows. In: values. Out: what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from e2i.catalog.artifacts import Artifact, Table
from e2i.catalog.columns import (
    KnownFolds,
    KnownKeys,
    KnownModel,
    KnownRecipe,
    KnownRepo,
    KnownReport,
    KnownTable,
    Shape,
    Shapes,
    Unknown,
)

ANY: Shapes = (Shape("any"),)
NULL: Shapes = (Shape("null"),)
LIST = Shape("list", rest=ANY)
MAPPING = Shape("mapping", rest=ANY)


def simple(name: str) -> Shapes:
    """Returns the shape of a type without details."""
    return ({"list": LIST, "mapping": MAPPING}.get(name) or Shape(name),)


def mismatch(value: Any, shapes: Shapes, path: tuple[str | int, ...] = ()) -> tuple[tuple[str | int, ...], str] | None:
    """Returns where a value has another shape, and in what way; None when it fits, or when it is not known."""
    plain = Unknown | KnownFolds | KnownModel | KnownReport | KnownRepo | KnownRecipe | KnownKeys | Artifact
    if isinstance(value, plain) and not isinstance(value, Table):
        return None  # of other artifacts, nothing is promised
    if any(shape.type == "any" for shape in shapes):
        return None
    fitting = [shape for shape in shapes if _has_type(value, shape)]
    if not fitting:
        return path, f"{_shown(value)} is not {describe(shapes)}"
    found = [_inner(value, shape, path) for shape in fitting]
    return None if None in found else found[0]


def describe(shapes: Shapes) -> str:
    """Returns the shapes in words, for messages."""
    return " or ".join(dict.fromkeys(map(_words, shapes)))


def _has_type(value: Any, shape: Shape) -> bool:
    if isinstance(value, Table | KnownTable):
        return shape.type == "table"
    if shape.values:
        return any(value == allowed and type(value) is type(allowed) for allowed in shape.values)
    match shape.type:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int)
        case "number":
            return isinstance(value, int | float)
        case "string":
            return isinstance(value, str)
        case "list":
            return isinstance(value, list | tuple)
        case "mapping":
            return isinstance(value, Mapping)
    return shape.type == "any"


def _inner(value: Any, shape: Shape, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str] | None:
    """Returns what is wrong inside a list or mapping."""
    items: Iterable[tuple[Any, Any]] = ()
    if shape.type == "mapping":
        items = value.items()
        lacking = [key for key in shape.inside if key not in value and key not in shape.optional]
        if lacking:
            return path, f'"{lacking[0]}" is missing'
    elif shape.type == "list":
        items = enumerate(value)
        if shape.rest is None and len(value) != len(shape.inside):
            return path, f"{len(value)} values instead of {len(shape.inside)}"
    for key, item in items:
        wanted = shape.inside.get(key, shape.rest)
        if wanted is None:
            return (*path, key), f'there must be no "{key}"'
        if found := mismatch(item, wanted, (*path, key)):
            return found
    return None


def _words(shape: Shape) -> str:
    if shape.values:
        return " or ".join(map(repr, shape.values))
    if shape.type in ("null", "any"):
        return {"null": "null", "any": "any value"}[shape.type]
    if shape.type == "list" and shape.rest and all(item.type not in ("any", "list", "mapping") for item in shape.rest):
        return "a list of " + " or ".join(dict.fromkeys(item.type for item in shape.rest))
    return f"{'an' if shape.type[0] in 'aeiou' else 'a'} {shape.type}"


def _shown(value: Any) -> str:
    if isinstance(value, Table | KnownTable):
        return "a table"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
