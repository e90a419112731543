"""What a value can be. In: a pydantic field's annotation, or plain data. Out: ``Kinds``, to compare and to look inside.

Kinds are named after the artifact types and ``string integer number boolean list mapping null any``. An artifact is a
mapping too: its fields can be read.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import BaseModel

from e2i.catalog.artifacts import ARTIFACTS, Artifact, Stored
from e2i.spec.expressions import Secret

if TYPE_CHECKING:
    from e2i.catalog.columns import Known

Key = str | int


class Kind(Struct, frozen=True):
    """One thing that a value can be.

    ``inside`` are the members that are known by name or index, ``rest`` is what any other member is (None: there is no
    other; ``lax``: others are ignored). ``optional`` are members that a mapping may lack. ``known`` is what is known of
    the content of an artifact.
    """

    name: str
    inside: Mapping[Key, Kinds] = field(default_factory=dict)
    rest: Kinds | None = None
    optional: frozenset[Key] = frozenset()
    lax: bool = False
    known: Known | None = None


Kinds = tuple[Kind, ...]
"""What a value can be: one of these."""

ANY: Kinds = (Kind("any"),)
STRING: Kinds = (Kind("string"),)
INTEGER: Kinds = (Kind("integer"),)
NUMBER: Kinds = (Kind("number"),)
BOOLEAN: Kinds = (Kind("boolean"),)
NULL: Kinds = (Kind("null"),)
LIST: Kinds = (Kind("list", rest=ANY),)
MAPPING: Kinds = (Kind("mapping", rest=ANY),)
NUMERIC: Kinds = (*INTEGER, *NUMBER)
EXPECTED_NULL = Kind("null", lax=True)
"""A null that the spec wants for what does not exist, as opposed to one that a declaration merely allows."""

_SIMPLE: dict[Any, Kinds] = {
    str: STRING,
    int: INTEGER,
    float: NUMBER,
    bool: BOOLEAN,
    datetime: STRING,
    date: STRING,
    Path: STRING,
    type(None): NULL,
}
_DECLARED: dict[str, Kinds] = {
    "string": STRING,
    "date": STRING,
    "path": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "list": LIST,
    "mapping": MAPPING,
}


def of(annotation: Any) -> Kinds:
    """What an annotation allows."""
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of(arguments[0])
    if origin in (Union, types.UnionType):
        return union(map(of, arguments))
    if origin is Literal:
        return union(of_value(value) for value in arguments)
    base = origin or annotation
    if not isinstance(base, type) or base in (Artifact, Stored):
        return ANY
    if issubclass(base, BaseModel):
        return (of_model(base),)
    if issubclass(base, Enum):
        return STRING
    if issubclass(base, Mapping):
        return (Kind("mapping", rest=of(arguments[1]) if len(arguments) == 2 else ANY),)
    if issubclass(base, tuple) and arguments and arguments[-1] is not Ellipsis:
        return (Kind("list", dict(enumerate(map(of, arguments)))),)
    if issubclass(base, (Sequence, set, frozenset)):
        return (Kind("list", rest=of(arguments[0]) if arguments else ANY),)
    return ANY


@cache
def of_model(model: type[BaseModel]) -> Kind:
    """The mapping, or the artifact, that a model is."""
    fields = model.model_fields
    inside: dict[Key, Kinds] = {name: of(item.annotation) for name, item in fields.items()}
    optional = frozenset(name for name, item in fields.items() if not item.is_required())
    name = str(fields["type"].default) if issubclass(model, Artifact) else "mapping"
    return Kind(name, inside, optional=optional, lax=model.model_config.get("extra") != "forbid")


def of_value(value: Any) -> Kinds:
    """What a plain value is."""
    match value:
        case None | bool() | int() | float() | str():
            return _SIMPLE[type(value)]
        case Secret():
            return STRING
        case Mapping():
            return (Kind("mapping", {key: of_value(item) for key, item in value.items()}),)
        case list() | tuple():
            return (Kind("list", {index: of_value(item) for index, item in enumerate(value)}),)
    return ANY


def declared(name: str) -> Kinds:
    """What a pipeline parameter of that declared type is."""
    return _DECLARED.get(name, ANY)


def with_known(given: Kinds, known: Known) -> Kinds:
    """The same, with what is known of the content."""
    from e2i.catalog.columns import KnownKeys  # a spec without tables needs none of it

    if isinstance(known, KnownKeys):
        return tuple(
            replace(kind, inside=dict.fromkeys(known.keys, kind.rest), rest=None, optional=frozenset(known.keys))
            if kind.name == "mapping" and kind.rest
            else kind
            for kind in given
        )
    return tuple(replace(kind, known=known) if kind.name in ARTIFACTS else kind for kind in given)


def or_null(given: Kinds) -> Kinds:
    """The same, or a null that has to be reckoned with."""
    return (*(kind for kind in given if kind.name != "null"), EXPECTED_NULL)


def union(several: Iterable[Kinds]) -> Kinds:
    """What is any of these."""
    found: dict[int, Kind] = {}
    kinds = [kind for one in several for kind in one]
    for index, kind in enumerate(kinds):
        if kind not in kinds[:index]:
            found[index] = kind
    return tuple(found.values())


def may_be(given: Kinds, *names: str) -> bool:
    """True when a value can be of one of the kinds of these names. An integer is a number, an artifact a mapping."""
    return any(
        kind.name == "any"
        or kind.name in names
        or (kind.name == "integer" and "number" in names)
        or (kind.name in ARTIFACTS and "mapping" in names)
        for kind in given
    )


def fits(given: Kinds, taken: Kinds) -> bool:
    """True when some value of ``given`` is a value of ``taken``."""
    return any(_fits(one, other) for one in given for other in taken)


def inside(given: Kinds, key: Key) -> Kinds | None:
    """What a member of the value is, or None when there can be none of that name or index."""
    if len(given) == 1:
        return _member(given[0], key)
    found = [_member(kind, key) for kind in given]
    there = [kinds for kinds in found if kinds is not None]
    return union(there) if there else None


def members(given: Kinds) -> list[str]:
    """The names that are known of the value's members."""
    return sorted({key for kind in given for key in kind.inside if isinstance(key, str)})


def at(given: Kinds, path: Iterable[Key]) -> Kinds:
    """What is taken at a path inside the value; anything where that is not known."""
    for key in path:
        given = inside(given, key) or ANY
    return given


def items(given: Kinds) -> Kinds:
    """What any member of a list or mapping is."""
    if any(kind.name == "any" for kind in given):
        return ANY
    return union(one for kind in given for one in (*kind.inside.values(), kind.rest or ())) or ANY


def describe(given: Kinds) -> str:
    """The kinds as a person would say them."""
    return " or ".join(sorted({_words(kind) for kind in given if kind.name != "null"}) or ["null"])


def _words(kind: Kind) -> str:
    held = {item.name for item in items((kind,))}
    if kind.name == "list" and "any" not in held:
        return f"a list of {' or '.join(sorted(held))}"
    named = {"any": "any value", "null": "null"}.get(kind.name)
    return named or f"{'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}"


def _fits(given: Kind, taken: Kind) -> bool:
    if "any" in (given.name, taken.name):
        return True
    if taken.name == "number" and given.name == "integer":
        return True
    if given.name != taken.name:
        return False
    if given.name in ARTIFACTS:
        return True
    return (
        all(_accepts(taken, key, value) for key, value in given.inside.items() if key not in given.optional)
        and (given.rest is None or taken.rest is None or fits(given.rest, taken.rest))
        and all(_offers(given, key, wanted) for key, wanted in taken.inside.items() if key not in taken.optional)
    )


def _accepts(taken: Kind, key: Key, value: Kinds) -> bool:
    wanted = taken.inside.get(key, taken.rest)
    return taken.lax if wanted is None else fits(value, wanted)


def _offers(given: Kind, key: Key, wanted: Kinds) -> bool:
    return key in given.inside or (given.rest is not None and fits(given.rest, wanted))


def _member(kind: Kind, key: Key) -> Kinds | None:
    if kind.name == "any":
        return ANY
    if kind.name == "list":
        if not isinstance(key, int):
            return None
        index = key + len(kind.inside) if key < 0 and kind.rest is None else key
        return kind.inside.get(index, kind.rest)
    return kind.inside.get(key, kind.rest) if isinstance(key, str) else None
