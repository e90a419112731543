"""What kinds of value a field takes or gives. In: a pydantic field's annotation. Out: the names of its kinds.

Kinds are the artifact types' names and ``string integer number boolean list mapping null any``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from e2i.catalog.artifacts import Artifact, Stored
from e2i.spec import suggest

_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    datetime: "string",
    date: "string",
    Path: "string",
    type(None): "null",
}


def kinds(annotation: Any) -> frozenset[str]:
    """The kinds of value that an annotation allows."""
    if annotation in _SIMPLE:
        return frozenset({_SIMPLE[annotation]})
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return frozenset().union(*map(kinds, get_args(annotation)))
    if origin is Literal:
        return frozenset(_SIMPLE.get(type(value), "any") for value in get_args(annotation))
    base = origin or annotation
    if not isinstance(base, type):
        return frozenset({"any"})
    if base in (Artifact, Stored):
        return frozenset({"any"})
    if issubclass(base, Artifact):
        return frozenset({str(base.model_fields["type"].default)})
    if issubclass(base, Enum):
        return frozenset({"string"})
    if issubclass(base, BaseModel) or issubclass(base, Mapping):
        return frozenset({"mapping"})
    if issubclass(base, (Sequence, set, frozenset)):
        return frozenset({"list"})
    return frozenset({"any"})


def fits(given: frozenset[str], taken: frozenset[str]) -> bool:
    """True when some value of ``given`` is a value of ``taken``. An integer is a number."""
    if "any" in given or "any" in taken:
        return True
    widened = given | ({"number"} if "integer" in given else set())
    return bool(widened & taken)


def artifact_of(annotation: Any) -> type[Artifact] | None:
    """The artifact type that an annotation names, if it is one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return artifact_of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        named = [found for part in get_args(annotation) if (found := artifact_of(part))]
        return named[0] if len(named) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, Artifact) else None


def unknown_field(annotation: Any, name: str | int) -> str | None:
    """What is wrong with reading ``.name`` of a value of this annotation, or None."""
    artifact = artifact_of(annotation)
    if artifact is None or not isinstance(name, str) or name in artifact.model_fields:
        return None
    return f'"{name}" ({suggest.hint(name, artifact.model_fields, most=12)})'


def describe(given: frozenset[str]) -> str:
    """The kinds as a person would say them."""
    return " or ".join(sorted(given - {"null"}) or ["null"])
