"""Types of values. In: a pydantic field's annotation, or plain data. Out: ``Types``, to compare and to look inside.

Types are named after the artifact types and ``string integer number boolean list mapping null any``. An artifact is a
mapping too: its fields can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from e2i.catalog.artifacts import ARTIFACTS, Artifact, Stored
from e2i.spec.values import Secret

if TYPE_CHECKING:
    from e2i.catalog.columns import Known, Shape

Key = str | int


class Type(Struct, frozen=True):
    """One type that a value can have.

    ``inside`` are the members known by name or index. ``rest`` is the type of any other member (None: there is no
    other; ``lax``: others are ignored). ``optional`` are members that a mapping may lack. ``known`` is what is known of
    the content of an artifact.
    """

    name: str
    inside: Mapping[Key, Types] = field(default_factory=dict)
    rest: Types | None = None
    optional: frozenset[Key] = frozenset()
    lax: bool = False
    known: Known | None = None


Types = tuple[Type, ...]
"""A union: a value has one of these types."""

ANY: Types = (Type("any"),)
STRING: Types = (Type("string"),)
INTEGER: Types = (Type("integer"),)
NUMBER: Types = (Type("number"),)
BOOLEAN: Types = (Type("boolean"),)
NULL: Types = (Type("null"),)
LIST: Types = (Type("list", rest=ANY),)
MAPPING: Types = (Type("mapping", rest=ANY),)
NUMERIC: Types = (*INTEGER, *NUMBER)
EXPECTED_NULL = Type("null", lax=True)
"""A null that the spec requests for something missing, unlike one that a declaration merely allows."""

_SIMPLE: dict[Any, Types] = {
    str: STRING,
    int: INTEGER,
    float: NUMBER,
    bool: BOOLEAN,
    datetime: STRING,
    date: STRING,
    Path: STRING,
    type(None): NULL,
}
_DECLARED: dict[str, Types] = {
    "string": STRING,
    "date": STRING,
    "path": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "list": LIST,
    "mapping": MAPPING,
}


def of(annotation: Any) -> Types:
    """Returns the types that an annotation allows."""
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if isinstance(annotation, TypeAliasType):
        return of(annotation.__value__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of(arguments[0])
    if origin in (Union, UnionType):
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
        return (Type("mapping", rest=of(arguments[1]) if len(arguments) == 2 else ANY),)
    if issubclass(base, tuple) and arguments and arguments[-1] is not Ellipsis:
        return (Type("list", dict(enumerate(map(of, arguments)))),)
    if issubclass(base, (Sequence, set, frozenset)):
        return (Type("list", rest=of(arguments[0]) if arguments else ANY),)
    return ANY


@cache
def of_model(model: type[BaseModel]) -> Type:
    """Returns the mapping or artifact type of a model."""
    fields = model.model_fields
    inside: dict[Key, Types] = {name: of(item.annotation) for name, item in fields.items()}
    optional = frozenset(name for name, item in fields.items() if not item.is_required())
    name = str(fields["type"].default) if issubclass(model, Artifact) else "mapping"
    return Type(name, inside, optional=optional, lax=model.model_config.get("extra") != "forbid")


def of_value(value: Any) -> Types:
    """Returns the type of a plain value."""
    match value:
        case None | bool() | int() | float() | str():
            return _SIMPLE[type(value)]
        case Secret():
            return STRING
        case Mapping():
            return (Type("mapping", {key: of_value(item) for key, item in value.items()}),)
        case list() | tuple():
            return (Type("list", {index: of_value(item) for index, item in enumerate(value)}),)
    return ANY


def declared(name: str) -> Types:
    """Returns the type of a pipeline parameter of that declared type."""
    return _DECLARED.get(name, ANY)


def with_known(given: Types, known: Known) -> Types:
    """Returns the same types with the known content added."""
    from e2i.catalog.columns import KnownKeys  # a spec without tables does not need it

    if isinstance(known, tuple):
        return union((_of_shape(shape),) for shape in known)
    if isinstance(known, KnownKeys):
        return tuple(
            replace(type_, inside=dict.fromkeys(known.keys, type_.rest), rest=None, optional=frozenset(known.keys))
            if type_.name == "mapping" and type_.rest
            else type_
            for type_ in given
        )
    return tuple(replace(type_, known=known) if type_.name in ARTIFACTS else type_ for type_ in given)


def _of_shape(shape: Shape) -> Type:
    if shape.type in ARTIFACTS:
        return replace(of_model(ARTIFACTS[shape.type]), known=shape.table)
    inside = {key: tuple(map(_of_shape, item)) for key, item in shape.inside.items()}
    rest = None if shape.rest is None else tuple(map(_of_shape, shape.rest))
    return Type(shape.type, inside, rest, shape.optional)


def or_null(given: Types) -> Types:
    """Returns the same types, or a null that must be handled."""
    return (*(type_ for type_ in given if type_.name != "null"), EXPECTED_NULL)


def union(several: Iterable[Types]) -> Types:
    """Returns the union of the types."""
    found: dict[int, Type] = {}
    types = [type_ for one in several for type_ in one]
    for index, type_ in enumerate(types):
        if type_ not in types[:index]:
            found[index] = type_
    return tuple(found.values())


def can_be(given: Types, *names: str) -> bool:
    """Returns True when a value can have a type with one of these names. An integer is a number, an artifact a
    mapping.
    """
    return any(
        type_.name == "any"
        or type_.name in names
        or (type_.name == "integer" and "number" in names)
        or (type_.name in ARTIFACTS and "mapping" in names)
        for type_ in given
    )


def accepts(given: Types, taken: Types) -> bool:
    """Returns True when some value of ``given`` is a value of ``taken``."""
    return any(_accepts(one, other) for one in given for other in taken)


def inside(given: Types, key: Key) -> Types | None:
    """Returns the type of a member of the value, or None when it cannot have a member of that name or index."""
    if len(given) == 1:
        return _member(given[0], key)
    found = [_member(type_, key) for type_ in given]
    there = [types for types in found if types is not None]
    return union(there) if there else None


def members(given: Types) -> list[str]:
    """Returns the known names of the value's members."""
    return sorted({key for type_ in given for key in type_.inside if isinstance(key, str)})


def at(given: Types, path: Iterable[Key]) -> Types:
    """Returns the expected type at a path inside the value, or any where that is unknown."""
    for key in path:
        given = inside(given, key) or ANY
    return given


def lacking(given: Types, taken: Types) -> list[str]:
    """Returns the members that a mapping must have to be accepted, and that the given one does not have."""
    one, other = ([type_ for type_ in types if type_.name == "mapping"] for types in (given, taken))
    if len(one) != 1 or len(other) != 1:
        return []
    wanted = {key: value for key, value in other[0].inside.items() if key not in other[0].optional}
    return [str(key) for key, value in wanted.items() if not _offers(one[0], key, value)]


def items(given: Types) -> Types:
    """Returns the type of the members of a list or mapping."""
    if any(type_.name == "any" for type_ in given):
        return ANY
    return union(one for type_ in given for one in (*type_.inside.values(), type_.rest or ())) or ANY


def describe(given: Types) -> str:
    """Returns the types in words, for messages."""
    return " or ".join(sorted({_words(type_) for type_ in given if type_.name != "null"}) or ["null"])


def _words(type_: Type) -> str:
    held = {item.name for item in items((type_,))}
    if type_.name == "list" and "any" not in held:
        return f"a list of {' or '.join(sorted(held))}"
    named = {"any": "any value", "null": "null"}.get(type_.name)
    return named or f"{'an' if type_.name[0] in 'aeiou' else 'a'} {type_.name}"


def _accepts(given: Type, taken: Type) -> bool:
    if "any" in (given.name, taken.name):
        return True
    if taken.name == "number" and given.name == "integer":
        return True
    if given.name != taken.name:
        return False
    if given.name in ARTIFACTS:
        return True
    return (
        all(_takes_member(taken, key, value) for key, value in given.inside.items() if key not in given.optional)
        and (given.rest is None or taken.rest is None or accepts(given.rest, taken.rest))
        and all(_offers(given, key, wanted) for key, wanted in taken.inside.items() if key not in taken.optional)
    )


def _takes_member(taken: Type, key: Key, value: Types) -> bool:
    wanted = taken.inside.get(key, taken.rest)
    return taken.lax if wanted is None else accepts(value, wanted)


def _offers(given: Type, key: Key, wanted: Types) -> bool:
    return key in given.inside or (given.rest is not None and accepts(given.rest, wanted))


def _member(type_: Type, key: Key) -> Types | None:
    if type_.name == "any":
        return ANY
    if type_.name == "list":
        if not isinstance(key, int):
            return None
        index = key + len(type_.inside) if key < 0 and type_.rest is None else key
        return type_.inside.get(index, type_.rest)
    return type_.inside.get(key, type_.rest) if isinstance(key, str) else None
