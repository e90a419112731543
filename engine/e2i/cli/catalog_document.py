"""Describe an action of the catalog with all that is needed to write a step.

In: a tool and an action. Out: a JSON document.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from e2i.catalog import examples, forms
from e2i.catalog.action import Action, Tool
from e2i.catalog.artifacts import ARTIFACTS, Artifact
from e2i.catalog.registry import Registry
from e2i.check import types


def brief(tool: Tool, action: Action) -> dict[str, Any]:
    """Returns the short entry of an action: enough to choose an action by."""
    return {
        "action": f"{tool.name}.{action.name}",
        "summary": action.summary,
        "effect": action.effect.value,
        "extra": tool.extra,
        "required": [name for name, field in action.params.model_fields.items() if field.is_required()],
        "params": {field.name: field.summary for field in forms.params(action)},
        "outputs": {field.name: field.type for field in forms.outputs(action)},
    }


def full(tool: Tool, action: Action, registry: Registry) -> dict[str, Any]:
    """Returns the full entry of an action: schemas, defaults, types, artifacts, and an example that validates."""
    uses = f"{tool.name}.{action.name}"
    example = examples.of(uses, registry)
    return {
        "action": uses,
        "tool": tool.name,
        "summary": action.summary,
        "signature": forms.signature(uses, action),
        "about": _about(action.params),
        "effect": action.effect.value,
        "always": action.always,
        "idempotent": action.idempotent,
        "version": action.version,
        "libraries": list(action.libraries),
        "extra": tool.extra,
        "params": action.params.model_json_schema(),
        "outputs": action.outputs.model_json_schema(mode="serialization"),
        "types": {
            "params": {name: _kind(field.annotation) for name, field in action.params.model_fields.items()},
            "outputs": {name: _kind(field.annotation) for name, field in action.outputs.model_fields.items()},
        },
        "takes": _artifacts(action.params),
        "gives": _artifacts(action.outputs),
        "columns": "checked before a run, as far as they are known" if action.columns else "not known before a run",
        "example": textwrap.dedent(example.step),
        "example_spec": example.spec,
    }


def _kind(annotation: Any) -> str:
    return types.describe(types.of(annotation))


def _about(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "") if model.__doc__ != BaseModel.__doc__ else ""


def _artifacts(model: type[BaseModel]) -> dict[str, list[str]]:
    """Returns each type of artifact with its paths in the model: ``table`` → ``views.*.table``."""
    found: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        for kind, field_path in _within(field.annotation, name):
            if field_path not in found.setdefault(kind, []):
                found[kind].append(field_path)
    return found


def _within(annotation: Any, field_path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        origin = get_origin(annotation)
        is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
        is_list = isinstance(origin, type) and origin in (list, tuple)
        nested = f"{field_path}.*" if is_mapping else f"{field_path}[*]" if is_list else field_path
        for part in get_args(annotation)[1 if is_mapping else 0 :]:
            yield from _within(part, nested)
    elif issubclass(annotation, Artifact):
        yield str(annotation.model_fields["type"].default) if annotation in ARTIFACTS.values() else "any", field_path
    elif issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from _within(field.annotation, f"{field_path}.{name}")
