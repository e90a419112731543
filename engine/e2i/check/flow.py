"""Predicts a step's outputs. In: its parameters, as far as they are known. Out: types of outputs, and problems.

Tables are tracked by their columns, models by their target and features. Each action defines how in its tool's
``columns`` module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog import extensions
from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.columns import (
    UNKNOWN,
    ColumnProblem,
    Flow,
    Given,
    Known,
    KnownModel,
    KnownRecipe,
    KnownReport,
    KnownTable,
)
from e2i.catalog.files import Files
from e2i.catalog.known_models import chosen
from e2i.catalog.registry import Registry, tool_name
from e2i.check import types
from e2i.check.types import Type, Types
from e2i.documents import ParamValues
from e2i.spec import fixes, suggest
from e2i.spec.document import Document
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Fixes, Problem

Path = tuple[str | int, ...]
_REPORT = {"report", "null"}


def follow(
    registry: Registry,
    node: StepNode,
    action: Action,
    value: ParamValues,
    waiting: Mapping[Path, Types],
    files: Files,
) -> tuple[Type, tuple[ColumnProblem, ...]]:
    """Returns what is known of the step's outputs, and the problems of its columns.

    ``value`` is the step's ``with``. ``waiting`` is what is known of the values in it that are only known in a run.
    """
    declared = _reported(types.of_model(action.outputs), node.step.uses, registry)
    flow = registry.column_flow(node.step.uses)
    if flow is None:
        return declared, ()
    found: Flow = flow(given(registry, action, value, waiting), files)
    inside = {
        name: types.with_known(item, _placed(found, str(name), node.id)) if name in found.outputs else item
        for name, item in declared.inside.items()
    }
    for name in found.may_be_null:
        inside[name] = types.or_null(inside[name])
    return replace(declared, inside=inside), tuple(found.problems)


def given(registry: Registry, action: Action, value: ParamValues, waiting: Mapping[Path, Types]) -> Given:
    """Returns the parameters as an action's column flow takes them: with defaults, and with what is known of values
    that a run will produce.
    """
    found = {
        name: field.get_default(call_default_factory=True)
        for name, field in action.params.model_fields.items()
        if name not in value and not field.is_required()
    }
    found |= {name: _known(item, (name,), waiting) for name, item in value.items()}
    return {**found, **extensions.named(action.params, found, registry)}


def _reported(declared: Type, uses: str, registry: Registry) -> Type:
    """Returns the outputs with the action that wrote each report. A plug-in may write what actions of e2i write."""
    reports = [
        name for name, given in declared.inside.items() if "report" in {type_.name for type_ in given} <= _REPORT
    ]
    if not reports or tool_name(uses) in registry.plugins:
        return declared
    written = {name: types.with_known(declared.inside[name], KnownReport(uses)) for name in reports}
    return replace(declared, inside={**declared.inside, **written})


def problems(columns: tuple[ColumnProblem, ...], base: Path, document: Document) -> Iterator[Problem]:
    """Yields the problems of a step's columns with their locations. ``base`` leads to its ``with``."""
    for found in columns:
        path = _existing((*base, *found.path), base, document)
        hint = found.hint or (suggest.hint(found.name, found.known, most=40) if found.name else None)
        fix = _fix(found, path, base, document)
        message, offset = _pointed(found, path, document)
        yield document.problem(
            found.code, path, message, hint, key=found.at_key, offset=offset, fixes=fix, severity=found.severity
        )


def _pointed(found: ColumnProblem, path: Path, document: Document) -> tuple[str, int | None]:
    """Returns the message and the offset in the text at ``path``, or the line where the text is not written so.

    Before an expression in the text, the text and what is written are the same.
    """
    if found.at is None:
        return found.message, None
    text, offset = found.at
    written = document.value(path)
    if isinstance(written, str) and written[: offset + 1] == text[: offset + 1]:
        return found.message, offset
    line = text.count("\n", 0, offset) + 1
    return f"{found.message} (line {line} of the text: {text.splitlines()[line - 1].strip()[:60]})", None


def _placed(found: Flow, name: str, step: str) -> Known:
    """Returns what is known of an output, with the place where its new columns and its part of the rows appeared."""
    known, origin = found.outputs[name], f"{step}.{name}"
    if isinstance(known, KnownRecipe):
        return replace(known, origin=step)
    if not isinstance(known, KnownTable):
        return known
    return (known.part(origin) if name in found.parts else known).from_origin(origin)


def _fix(found: ColumnProblem, path: Path, base: Path, document: Document) -> Fixes:
    """Returns the safe fix of a problem, if the wrong value is written at ``path`` and is not from an expression."""
    if found.leave_out:
        excluded = (*base, "exclude")
        if not document.has(excluded):
            return fixes.added(excluded, list(found.leave_out))
        if isinstance(document.value(excluded), list):
            return tuple(op for name in found.leave_out for op in fixes.added((*excluded, "-"), name))
        return ()
    if len(path) != len(base) + len(found.path):
        return ()
    if found.at is not None:
        return _respelled(found, path, document)
    if found.take_out:
        return fixes.removed(path)
    if found.meant:
        beside = document.value(path[:-1])
        return () if found.meant in beside else fixes.moved(path, (*path[:-1], found.meant))
    if found.at_key and found.name:
        return fixes.renamed(path, found.known, document.value(path[:-1]))
    return fixes.named(path, found.name, found.known) if document.value(path) == found.name else ()


def _respelled(found: ColumnProblem, path: Path, document: Document) -> Fixes:
    """Returns the fix of a name inside a text that is written as it is."""
    text, offset = found.at or ("", 0)
    right = suggest.certain(found.name, found.known) if found.name else None
    if not right or document.value(path) != text or not text.startswith(found.name, offset):
        return ()
    return fixes.replaced(path, text[:offset] + right + text[offset + len(found.name) :])


def _known(value: Any, path: Path, waiting: Mapping[Path, Types]) -> Any:
    """Returns the value for an action's column flow: each pending value is replaced by what is known of it."""
    if path in waiting:
        return _content(waiting[path])
    if isinstance(value, dict):
        return {key: _known(item, (*path, key), waiting) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item, (*path, index), waiting) for index, item in enumerate(value)]
    return value


def _content(given: Types) -> Any:
    """Returns what is known of a value that a run will produce."""
    models = [type_.known for type_ in given if isinstance(type_.known, KnownModel)]
    if len(given) > 1 and len(models) == len(given):
        return chosen(models)
    if len(given) != 1:
        return UNKNOWN
    (type_,) = given
    if type_.name in ARTIFACTS:
        return type_.known or UNKNOWN
    if type_.rest is None and type_.name == "mapping":
        return {key: _content(item) for key, item in type_.inside.items()}
    if type_.rest is None and type_.name == "list":
        return [_content(item) for item in type_.inside.values()]
    return UNKNOWN


def _existing(path: Path, base: Path, document: Document) -> Path:
    """Returns the path, or as much of it as is written: a list may come from a parameter."""
    while len(path) > len(base) and not document.has(path):
        path = path[:-1]
    return path
