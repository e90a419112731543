"""Read the JSON Schema of a value: its alternatives, choices, bounds and entries, with references resolved.

In: the schema of a model, as pydantic writes it. Out: ``ValueSchema``, one for each value in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, Struct

from e2i.documents import JsonSchema

_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_SIZES = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minProperties", "maxProperties", "entries"),
)


class ValueSchema(Struct, frozen=True):
    """The schema of one value. ``definitions`` are the schemas that it refers to by name."""

    written: JsonSchema
    definitions: Mapping[str, JsonSchema]

    @classmethod
    def of_model(cls, schema: JsonSchema) -> ValueSchema:
        return cls(schema, schema.get("$defs", {}))

    def __getitem__(self, keyword: str) -> Any:
        """The value of a keyword; None when it is not set."""
        return self.written.get(keyword)

    @property
    def resolved(self) -> ValueSchema:
        """The schema that a reference leads to; else itself."""
        return self._of(self.definitions[self["$ref"].rpartition("/")[2]]) if "$ref" in self.written else self

    @property
    def description(self) -> str:
        """Its own description, or that of the type that it refers to, on one line."""
        return " ".join(str(self["description"] or self.resolved["description"] or "").split())

    @property
    def default(self) -> Any:
        """The default as JSON; UNSET when there is none."""
        return self.written.get("default", UNSET)

    @property
    def properties(self) -> dict[str, ValueSchema]:
        """The keys of a mapping with known keys."""
        return {name: self._of(inner) for name, inner in (self["properties"] or {}).items()}

    @property
    def options(self) -> Iterator[ValueSchema]:
        """The alternatives of a union, resolved; else the schema alone."""
        found = self.resolved
        alternatives = found["anyOf"] or found["oneOf"]
        if alternatives is None:
            yield found
        for option in alternatives or ():
            yield from self._of(option).options

    @property
    def items(self) -> ValueSchema | None:
        """The schema of the values of a list."""
        return self._of(self["items"]) if self["items"] else None

    @property
    def entries(self) -> ValueSchema | None:
        """The schema of the values of a mapping of any names."""
        inner = self["additionalProperties"]
        if not (isinstance(inner, dict) and inner):
            inner = next(iter((self["patternProperties"] or {}).values()), None)
        return self._of(inner) if inner else None

    @property
    def artifact(self) -> str | None:
        """The type of an artifact, whose schema is that of its document. None: it is something else."""
        properties = self.properties
        return str(properties["type"]["const"]) if {"type", "digest"} <= properties.keys() else None

    @property
    def choices(self) -> tuple[Any, ...]:
        """The only values that are allowed; none: all of the type are."""
        return (self["const"],) if "const" in self.written else tuple(self["enum"] or ())

    @property
    def bounds(self) -> Iterator[str]:
        """The bounds of the value, in words."""
        if "minimum" in self.written and "maximum" in self.written:
            yield f"{self['minimum']:,} to {self['maximum']:,}"
        elif numbers := [f"{sign} {self[key]:,}" for key, sign in _SIGNS.items() if key in self.written]:
            yield " and ".join(numbers)
        for least, most, what in _SIZES:
            low, high = self[least] or 0, self[most]
            if high is not None:
                yield f"{low:,} to {high:,} {what}"
            elif low:
                yield "not empty" if low == 1 else f"at least {low:,} {what}"
        if "pattern" in self.written:
            yield f"matches {self['pattern']}"
        if "format" in self.written:
            yield f"a {self['format']}".replace("date-time", "time in ISO 8601")

    def _of(self, inner: JsonSchema) -> ValueSchema:
        return ValueSchema(inner, self.definitions)
