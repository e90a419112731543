"""Describe the parameters and outputs of actions briefly: types, choices, bounds, defaults, nested forms.

In: a model. Out: ``Field``s, for the catalog, its signatures and the reference. A type is written as in
``string``, ``a|b`` (one of these values), ``[string]`` (a list), ``{string: integer}`` (a mapping of any names) and
``{name*, other}`` (a mapping with these keys). ``*`` marks what is required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import JsonSchema
from e2i.spec.writing import written

LONGEST_DEFAULT = 60
"""Characters of a default that a signature shows."""


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
        """Type, default and bounds: ``integer = 20 (≥ 1 and ≤ 500)``. A default that is null or empty is left out."""
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


def params(action: Action) -> tuple[Field, ...]:
    """Returns the parameters of an action."""
    schema = action.params.model_json_schema()
    return tuple(_Reader(schema.get("$defs", {})).fields(schema))


def outputs(action: Action) -> tuple[Field, ...]:
    """Returns the outputs of an action. All of them are always there, so none is marked as required."""
    schema = action.outputs.model_json_schema(mode="serialization")
    return tuple(_Reader(schema.get("$defs", {}), marks_required=False).fields(schema))


def signature(uses: str, action: Action) -> str:
    """Returns an action on one line: ``data.select(table*: table, columns: [string]) -> table``."""
    given = ", ".join(map(_parameter, params(action)))
    return f"{uses}({given}) -> {', '.join(action.outputs.model_fields) or 'nothing'}"


def _parameter(field: Field) -> str:
    if not field.has_default:
        return f"{field.label}: {field.type}"
    default = written(field.default)
    if len(default) > LONGEST_DEFAULT:
        default = default[: LONGEST_DEFAULT - 1] + "…"
    return f"{field.name}: {field.type} = {default}" if "|" in field.type else f"{field.name}={default}"


class _Reader:
    """Reads JSON Schemas with these definitions."""

    def __init__(self, definitions: Mapping[str, JsonSchema], *, marks_required: bool = True) -> None:
        self._definitions = definitions
        self._marks_required = marks_required

    def fields(self, schema: JsonSchema, within: tuple[str, ...] = ()) -> Iterator[Field]:
        """Yields the properties of a form. ``within`` are the forms around it, which it may contain again."""
        required = self._required(schema)
        for name, inner in schema.get("properties", {}).items():
            options = list(self._options(inner))
            yield Field(
                name,
                self._type(inner),
                name in required,
                _sentence(inner.get("description") or self._resolved(inner).get("description")),
                inner.get("default", UNSET),
                "; ".join(dict.fromkeys(bound for option in options for bound in _bounds(option))),
                tuple({form.name: form for form in self._nested(options, within)}.values()),
            )

    def _type(self, schema: JsonSchema) -> str:
        """Returns the type of a value. A null that only means "not set" is left out."""
        options = list(self._options(schema))
        is_nullable = any(option.get("type") == "null" for option in options)
        names = list(dict.fromkeys(self._of_one(option) for option in options if option.get("type") != "null"))
        if is_nullable and schema.get("default", UNSET) is not None:
            names.append("null")
        return "|".join(names) or "null"

    def _of_one(self, schema: JsonSchema) -> str:
        if values := _values(schema):
            return "|".join(map(written, values))
        match schema.get("type"):
            case "array":
                return f"[{self._type(schema.get('items', {}))}]"
            case "object" if _is_artifact(schema):
                kind = schema["properties"]["type"].get("const")
                return kind if kind in ARTIFACTS else "artifact"
            case "object" if names := schema.get("properties"):
                required = self._required(schema)
                return "{" + ", ".join(f"{name}*" if name in required else name for name in names) + "}"
            case "object":
                inner = self._entries(schema)
                return f"{{string: {self._type(inner)}}}" if inner else "{string: any}"
            case str() as kind:
                return kind
        return "any"

    def _nested(self, options: list[JsonSchema], within: tuple[str, ...]) -> Iterator[Form]:
        """Yields the forms among the options, and in lists and mappings of them."""
        for option in options:
            inner = option.get("items") or (None if option.get("properties") else self._entries(option))
            title = str(option.get("title"))
            if inner:
                yield from self._nested(list(self._options(inner)), within)
            elif option.get("properties") and not _is_artifact(option) and title not in within:
                fields = tuple(self.fields(option, (*within, title)))
                yield Form(title, _sentence(option.get("description")), fields)

    def _required(self, schema: JsonSchema) -> Sequence[str]:
        return schema.get("required", ()) if self._marks_required else ()

    def _entries(self, schema: JsonSchema) -> JsonSchema | None:
        """Returns the schema of the values of a mapping of any names."""
        inner = schema.get("additionalProperties")
        return (
            inner
            if isinstance(inner, dict) and inner
            else next(iter(schema.get("patternProperties", {}).values()), None)
        )

    def _options(self, schema: JsonSchema) -> Iterator[JsonSchema]:
        """Yields the alternatives of a union, resolved; else the schema alone."""
        found = self._resolved(schema)
        alternatives = found.get("anyOf") or found.get("oneOf")
        if alternatives is None:
            yield found
        for option in alternatives or ():
            yield from self._options(option)

    def _resolved(self, schema: JsonSchema) -> JsonSchema:
        return self._definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _sentence(text: Any) -> str:
    return " ".join(str(text or "").split())


def _is_artifact(schema: JsonSchema) -> bool:
    """Returns whether it is the schema of an artifact's document."""
    return {"type", "digest"} <= set(schema.get("properties", {}))


def _values(schema: JsonSchema) -> tuple[Any, ...]:
    return (schema["const"],) if "const" in schema else tuple(schema.get("enum", ()))


def _bounds(schema: JsonSchema) -> Iterator[str]:
    """Yields the bounds of one value, in words."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    if numbers := [f"{sign} {schema[key]:,}" for key, sign in signs.items() if key in schema]:
        yield " and ".join(numbers)
    for least, most, what in (
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "items"),
        ("minProperties", "maxProperties", "entries"),
    ):
        low, high = schema.get(least, 0), schema.get(most)
        if high is not None:
            yield f"{low:,} to {high:,} {what}"
        elif low:
            yield "not empty" if low == 1 else f"at least {low:,} {what}"
    if "pattern" in schema:
        yield f"matches {schema['pattern']}"
    if "format" in schema:
        yield f"a {schema['format']}".replace("date-time", "time in ISO 8601")
