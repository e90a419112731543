"""Describe an action of the catalog with all that is needed to write a step.

In: a tool and an action. Out: a JSON document.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from msgspec import Meta
from pydantic import BaseModel

from e2i.catalog import examples, extensions, forms
from e2i.catalog.action import Action, Effect, Tool
from e2i.catalog.artifacts import ARTIFACTS, Artifact
from e2i.catalog.registry import Registry
from e2i.check import types
from e2i.documents import Element, JsonDocument, JsonSchema

Types = dict[str, str]
"""The type of each parameter or output, in the words of the checks."""
Places = dict[str, list[str]]
"""Each type of artifact with its paths: ``table`` → ``views.*.table``."""


class BriefAction(Element, frozen=True, kw_only=True):
    """An action, as briefly as one can choose by."""

    action: Annotated[str, Meta(description="The name, for `uses`.")]
    summary: str
    effect: Effect
    extra: Annotated[str | None, Meta(description="The extra of the package e2i that its tool needs.")]
    required: Annotated[list[str], Meta(description="Parameters without a default.")]
    params: Types
    outputs: Types


class BriefCatalog(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i catalog --json`."""

    actions: list[BriefAction]


class ActionTypes(Element, frozen=True, kw_only=True):
    """Types of an action, in the words of the checks."""

    params: Types
    outputs: Types


class FullAction(Element, frozen=True, kw_only=True):
    """An action with all that is needed to write a step."""

    action: Annotated[str, Meta(description="The name, for `uses`.")]
    tool: str
    summary: str
    signature: Annotated[str, Meta(description="The call on one line: parameters with their defaults, outputs.")]
    about: Annotated[str, Meta(description="More about it, or empty.")]
    effect: Effect
    always: Annotated[bool, Meta(description="Whether a result is never reused.")]
    idempotent: Annotated[bool, Meta(description="Whether it may be retried after an outage.")]
    version: Annotated[int, Meta(description="Results of other versions are not reused.")]
    libraries: Annotated[list[str], Meta(description="Libraries that can change its result.")]
    extra: Annotated[str | None, Meta(description="The extra of the package e2i that its tool needs.")]
    params: Annotated[JsonSchema, Meta(description="JSON Schema of its parameters.")]
    outputs: Annotated[JsonSchema, Meta(description="JSON Schema of its outputs.")]
    types: ActionTypes
    takes: Annotated[Places, Meta(description="Artifacts among its parameters.")]
    gives: Annotated[Places, Meta(description="Artifacts among its outputs.")]
    columns: Annotated[str, Meta(description="When the columns of its tables are known.")]
    example: Annotated[str, Meta(description="A step.")]
    example_spec: Annotated[str, Meta(description="A spec that contains the step.")]


class FullCatalog(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i catalog ACTION --json`."""

    actions: list[FullAction]


class Signatures(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i catalog --signatures --json`."""

    signatures: Annotated[list[str], Meta(description="Each action on one line.")]
    types: Annotated[dict[str, str], Meta(description="Choices that several signatures name, such as ALGORITHM.")]


def brief(tool: Tool, action: Action, registry: Registry) -> BriefAction:
    """Returns the short entry of an action."""
    return BriefAction(
        action=f"{tool.name}.{action.name}",
        summary=action.summary,
        effect=action.effect,
        extra=tool.extra,
        required=[name for name, field in action.params.model_fields.items() if field.is_required()],
        params={field.name: field.summary for field in forms.params(action, registry)},
        outputs={field.name: field.type for field in forms.outputs(action)},
    )


def full(tool: Tool, action: Action, registry: Registry) -> FullAction:
    """Returns the full entry of an action: schemas, defaults, types, artifacts, and an example that validates."""
    uses = f"{tool.name}.{action.name}"
    example = examples.of(uses, registry)
    return FullAction(
        action=uses,
        tool=tool.name,
        summary=action.summary,
        signature=forms.signature(uses, action, registry),
        about=_about(action.params),
        effect=action.effect,
        always=action.always,
        idempotent=action.idempotent,
        version=action.version,
        libraries=list(action.libraries),
        extra=tool.extra,
        params=extensions.widened(action.params.model_json_schema(), registry),
        outputs=action.outputs.model_json_schema(mode="serialization"),
        types=ActionTypes(params=_types(action.params), outputs=_types(action.outputs)),
        takes=_artifacts(action.params),
        gives=_artifacts(action.outputs),
        columns="checked before a run, as far as they are known" if action.columns else "not known before a run",
        example=textwrap.dedent(example.step),
        example_spec=example.spec,
    )


def _types(model: type[BaseModel]) -> Types:
    return {name: types.describe(types.of(field.annotation)) for name, field in model.model_fields.items()}


def _about(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "") if model.__doc__ != BaseModel.__doc__ else ""


def _artifacts(model: type[BaseModel]) -> Places:
    found: Places = {}
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
