"""Builds the JSON Schema of a spec from the models and every action's parameters.

Editors use it for completion and hover, and agents write specs from it. Any parameter may be an expression instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from e2i.catalog import extensions
from e2i.catalog.action import Action
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.documents import DIALECT, JsonSchema
from e2i.spec.models import PART, PipelineSpec

EXPRESSION = {
    "type": "string",
    "pattern": r"\$\{\{[\s\S]*\}\}",
    "description": "An expression, such as ${{ steps.load.table }}.",
}
VALUE = "value."
"""Prefix of the definitions of nested values: an artifact, a form inside a parameter. Each is defined once."""


def pipeline_schema(registry: Registry = BUILT_IN) -> JsonSchema:
    """Returns the schema, draft 2020-12. ``with`` is checked against the action in ``uses``."""
    schema = PipelineSpec.model_json_schema(by_alias=True)
    definitions: JsonSchema = schema["$defs"]
    for definition in definitions.values():  # titles that only repeat the name
        for key in definition.get("properties", {}).values():
            key.pop("title", None)
    step = definitions["StepSpec"]
    actions = {name: found for name in registry.names() if (found := registry.action(name))}
    step["properties"]["uses"] = {
        "description": "The action, as tool.action, or a spec to include, as ./prepare.yaml.",
        "anyOf": [
            *({"const": name, "description": action.summary} for name, action in actions.items()),
            {"type": "string", "pattern": PART, "description": "A spec to include, by its path relative to this file."},
        ],
    }
    step["allOf"] = []
    definitions |= {"expression": EXPRESSION, **_parameters(actions, registry)}
    for name, action in actions.items():
        then: JsonSchema = {"properties": {"with": {"$ref": f"#/$defs/with {name}"}}}
        if any(field.is_required() for field in action.params.model_fields.values()):
            then["required"] = ["with"]
        step["allOf"].append({"if": {"properties": {"uses": {"const": name}}, "required": ["uses"]}, "then": then})
    return {"$schema": DIALECT, "$id": "pipeline.v1.json", **schema, "title": "e2i pipeline, version 1"}


def _parameters(actions: Mapping[str, Action], registry: Registry) -> JsonSchema:
    """Returns the definitions of each action's parameters, and of the values in them, which actions share."""
    models = list(dict.fromkeys(action.params for action in actions.values()))
    found, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"#/$defs/{VALUE}{{model}}"
    )
    schema = extensions.widened(schema, registry)
    inner = {f"{VALUE}{name}": _open(definition) for name, definition in schema.get("$defs", {}).items()}
    for name, definition in inner.items():  # a title that only repeats the name is left out
        if definition.get("title") == name.removeprefix(VALUE):
            del definition["title"]
    names = {model: found[model, "validation"]["$ref"].removeprefix("#/$defs/") for model in models}
    own = {
        f"with {name}": inner[names[action.params]] | {"title": name, "description": action.summary}
        for name, action in actions.items()
    }
    text = json.dumps([inner, own])
    unused = {name for name in names.values() if f'"#/$defs/{name}"' not in text}
    return {name: value for name, value in inner.items() if name not in unused} | own


def _open(schema: JsonSchema) -> JsonSchema:
    """Returns the schema with an expression allowed in place of every value."""
    opened = {key: value for key, value in schema.items() if key != "discriminator"}  # OpenAPI's, not JSON Schema's
    for key in ("properties", "patternProperties"):
        if key in schema:
            opened[key] = {name: _or_expression(value) for name, value in schema[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            opened[key] = _or_expression(schema[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            opened[key] = [_open(option) for option in schema[key]]
    return opened


def _or_expression(schema: JsonSchema) -> JsonSchema:
    shown: JsonSchema = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    rest = _open({key: value for key, value in schema.items() if key not in (*shown, "title", "discriminator")})
    if rest.keys() & {"const", "enum"}:
        rest.pop("type", None)  # that of the values
    if "const" in rest:  # it names the form, which an expression cannot
        return {**shown, **rest}
    forms = _merged(rest["anyOf"]) if rest.keys() == {"anyOf"} else [rest]
    return {**shown, "anyOf": [*forms, {"$ref": "#/$defs/expression"}]} if rest else shown


def _merged(forms: list[Any]) -> list[Any]:
    """Returns the forms of a value, with those that are only a type as one form."""
    plain = [form["type"] for form in forms if form.keys() == {"type"}]
    if len(plain) < 2:
        return forms
    return [*(form for form in forms if form.keys() != {"type"}), {"type": plain}]
