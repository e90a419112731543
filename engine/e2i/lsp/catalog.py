"""Describe actions and the keys of a spec for an editor, each once.

In: a registry. Out: fields with type, default and description, and the JSON Schema at a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from e2i.catalog import extensions, forms
from e2i.catalog.forms import Field
from e2i.catalog.registry import Registry
from e2i.catalog.value_schema import ValueSchema
from e2i.spec.models import PipelineSpec
from e2i.spec.positions import Path
from e2i.spec.writing import written


class Described(Struct, frozen=True):
    """An action: its summary, its signature, and its parameters and outputs by name."""

    summary: str
    signature: str
    params: Mapping[str, Field]
    outputs: Mapping[str, Field]
    schema: ValueSchema


class Catalog:
    """The actions of one registry. Describing one takes some milliseconds, so each is described once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._names: Mapping[str, str] | None = None
        self._described: dict[str, Described | None] = {}

    @property
    def summaries(self) -> Mapping[str, str]:
        """The first line of each action's summary, by name. Imports every declaration."""
        if self._names is None:
            self._names = {
                f"{tool.name}.{action.name}": action.summary.splitlines()[0]
                for tool in self.registry.tools()
                for action in tool.actions
            }
        return self._names

    def action(self, uses: str) -> Described | None:
        """Returns an action, or None when there is none of that name."""
        if uses not in self._described:
            self._described[uses] = self._describe(uses)
        return self._described[uses]

    def _describe(self, uses: str) -> Described | None:
        action = None if self.registry.problem(uses.partition(".")[0]) else self.registry.action(uses)
        if action is None:
            return None
        return Described(
            action.summary,
            forms.signature(uses, action, self.registry),
            {field.name: field for field in forms.params(action, self.registry)},
            {field.name: field for field in forms.outputs(action)},
            ValueSchema.of_model(extensions.widened(action.params.model_json_schema(), self.registry)),
        )


@cache
def spec_schema() -> ValueSchema:
    """Returns the schema of a spec, without the parameters of actions."""
    return ValueSchema.of_model(PipelineSpec.model_json_schema(by_alias=True))


def options(schema: ValueSchema, path: Path) -> list[ValueSchema]:
    """Returns the alternatives that a schema allows at a path inside it."""
    found = list(schema.options)
    for key in path:
        inner = [
            option.items if isinstance(key, int) else option.properties.get(key) or option.entries for option in found
        ]
        found = [option for each in inner if each is not None for option in each.options]
    return found


def choices(found: list[ValueSchema]) -> list[str]:
    """Returns the only values that are allowed, as YAML; true and false for a boolean."""
    listed = [written(value) for option in found for value in option.choices if value is not None]
    if any(option["type"] == "boolean" and not option.choices for option in found):
        listed += ["true", "false"]
    return list(dict.fromkeys(listed))


def keys(found: list[ValueSchema]) -> dict[str, ValueSchema]:
    """Returns the keys of the mappings among the alternatives. Artifacts are not written by hand."""
    return {name: inner for option in found if not option.artifact for name, inner in option.properties.items()}


def about(field: Field) -> str:
    """Returns type, default, bounds and description of a parameter or output, as Markdown."""
    required = ", required" if field.required else ""
    return f"`{field.name}`: `{field.summary}`{required}\n\n{field.description}".rstrip()


def about_key(name: str, schema: ValueSchema) -> str:
    """Returns the description of a key of a spec, as Markdown."""
    default = "" if schema.default in (None, "", [], {}) or not schema.written.get("default") else schema.default
    shown = f" (default: `{written(default)}`)" if default != "" else ""
    return f"`{name}`{shown}\n\n{schema.description}".rstrip()
