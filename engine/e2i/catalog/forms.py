"""Describe the parameters and outputs of actions briefly: types, choices, bounds, defaults, nested forms.

In: a model. Out: ``Field``s, for the catalog, its signatures and the reference. A type is written as in
``string``, ``a|b`` (one of these values), ``[string]`` (a list), ``{string: integer}`` (a mapping of any names) and
``{name*, other}`` (a mapping with these keys). ``scalar`` is a boolean, a number or a string. ``*`` marks what is
required.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct

from e2i.catalog import extensions
from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.extensible import Source
from e2i.catalog.value_schema import ValueSchema
from e2i.spec.writing import written

SCALAR = ("boolean", "integer", "number", "string")
LONGEST_DEFAULT = 60
"""Characters of a default that a signature shows."""
LONG_TYPE, MANY = 30, 2
"""Characters of a type, and actions that take it, from which signatures of the catalog share its name."""


class Field(Struct, frozen=True):
    """A parameter, an output or a key of a nested form. ``default`` is JSON; UNSET: required, or left out."""

    name: str
    type: str
    required: bool
    description: str
    default: Any = UNSET
    bounds: str = ""
    forms: tuple[Form, ...] = ()
    """The nested forms in it: the alternatives, also of a list or a mapping of them."""

    @property
    def label(self) -> str:
        """The name, with a mark when it is required."""
        return f"{self.name}*" if self.required else self.name

    @property
    def summary(self) -> str:
        """Type, default and bounds: ``integer = 20 (1 to 500)``. A default that is null or empty is left out."""
        shown = written(self.default) if self.has_default else ""
        default = f" = {shown}" if shown and shown != self.type else ""
        return f"{self.type}{default}{f' ({self.bounds})' if self.bounds else ''}"

    @property
    def has_default(self) -> bool:
        return self.default is not UNSET and self.default not in (None, "", [], {})


class Form(Struct, frozen=True):
    """A mapping with known keys inside a parameter."""

    name: str
    description: str
    fields: tuple[Field, ...]


def params(action: Action, registry: Source) -> tuple[Field, ...]:
    """Returns the parameters of an action. ``registry`` has the names that plug-ins and settings add to choices."""
    schema = extensions.widened(action.params.model_json_schema(), registry)
    return tuple(_Reader().fields(ValueSchema.of_model(schema)))


def outputs(action: Action) -> tuple[Field, ...]:
    """Returns the outputs of an action. All of them are always there, so none is marked as required."""
    schema = ValueSchema.of_model(action.outputs.model_json_schema(mode="serialization"))
    return tuple(_Reader(marks_required=False).fields(schema))


def signature(uses: str, action: Action, registry: Source, names: Mapping[str, str] | None = None) -> str:
    """Returns an action on one line: ``data.select(table*: table, columns: [string]) -> table``.

    A type in ``names`` is written as its name, also inside of another one.
    """
    shared = names or {}
    given = ", ".join(_parameter(field, _named(field.type, shared)) for field in params(action, registry))
    return f"{uses}({given}) -> {', '.join(action.outputs.model_fields) or 'nothing'}"


def shared_types(actions: Iterable[Action], registry: Source) -> dict[str, str]:
    """Returns names, such as ``ALGORITHM``, for the long lists of choices that several actions take, by their text."""
    found: dict[str, list[str]] = {}
    for action in actions:
        for field in params(action, registry):
            if "|" in field.type and len(field.type) >= LONG_TYPE:
                found.setdefault(field.type, []).append(field.name.upper())
    names: dict[str, str] = {}
    for text, users in found.items():
        if len(users) >= MANY and users[0] not in names.values():
            names[text] = users[0]
    return names


def _named(text: str, names: Mapping[str, str]) -> str:
    """Returns a type with each list of choices that has a name written as that."""
    for long, name in names.items():
        text = re.sub(rf"(?<![\w|]){re.escape(long)}(?!\w)", name, text)
    return text


def _parameter(field: Field, kind: str) -> str:
    if not field.has_default:
        return f"{field.label}: {kind}"
    default = written(field.default)
    if len(default) > LONGEST_DEFAULT:
        default = default[: LONGEST_DEFAULT - 1] + "…"
    return f"{field.name}: {kind} = {default}" if "|" in field.type else f"{field.name}={default}"


class _Reader:
    """Reads schemas of models."""

    def __init__(self, *, marks_required: bool = True) -> None:
        self._marks_required = marks_required

    def fields(self, schema: ValueSchema, within: tuple[str, ...] = ()) -> Iterator[Field]:
        """Yields the properties of a form. ``within`` are the forms around it, which it may contain again."""
        required = self._required(schema)
        for name, inner in schema.properties.items():
            options = list(inner.options)
            yield Field(
                name,
                self._type(inner),
                name in required,
                inner.description,
                inner.default,
                "; ".join(dict.fromkeys(bound for option in options for bound in option.bounds)),
                tuple({form.name: form for form in self._nested(options, within)}.values()),
            )

    def _type(self, schema: ValueSchema) -> str:
        """Returns the type of a value. A null that only means "not set" is left out."""
        options = list(schema.options)
        is_nullable = any(option["type"] == "null" for option in options)
        names = list(dict.fromkeys(self._of_one(option) for option in options if option["type"] != "null"))
        if names[: len(SCALAR)] == list(SCALAR):
            names[: len(SCALAR)] = ["scalar"]
        if is_nullable and schema.default is not None:
            names.append("null")
        return "|".join(names) or "null"

    def _of_one(self, schema: ValueSchema) -> str:
        if schema.choices:
            return "|".join(map(written, schema.choices))
        match schema["type"]:
            case "array":
                return f"[{self._type(schema.items) if schema.items else 'any'}]"
            case "object" if kind := schema.artifact:
                return kind if kind in ARTIFACTS else "artifact"
            case "object" if names := schema.properties:
                required = self._required(schema)
                return "{" + ", ".join(f"{name}*" if name in required else name for name in names) + "}"
            case "object":
                return f"{{string: {self._type(schema.entries) if schema.entries else 'any'}}}"
            case str() as kind:
                return kind
        return "any"

    def _nested(self, options: list[ValueSchema], within: tuple[str, ...]) -> Iterator[Form]:
        """Yields the forms among the options, and in lists and mappings of them."""
        for option in options:
            inner = option.items or (None if option.properties else option.entries)
            title = str(option["title"])
            if inner:
                yield from self._nested(list(inner.options), within)
            elif option.properties and not option.artifact and title not in within:
                yield Form(title, option.description, tuple(self.fields(option, (*within, title))))

    def _required(self, schema: ValueSchema) -> Sequence[str]:
        return schema["required"] or () if self._marks_required else ()
