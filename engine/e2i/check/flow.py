"""Predicts a step's outputs. In: its parameters, as far as they are known. Out: types of outputs, and problems.

Tables are tracked by their columns, models by their target and features. Each action defines how in its tool's
``columns`` module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.columns import UNKNOWN, ColumnProblem, Flow
from e2i.catalog.files import Files
from e2i.catalog.registry import Registry
from e2i.check import types
from e2i.check.types import Type, Types
from e2i.documents import Values
from e2i.spec import fixes, suggest
from e2i.spec.document import Document
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Fixes, Problem

Path = tuple[str | int, ...]


def follow(
    registry: Registry,
    node: StepNode,
    action: Action,
    value: Values,
    waiting: Mapping[Path, Types],
    files: Files,
) -> tuple[Type, tuple[ColumnProblem, ...]]:
    """Returns what is known of the step's outputs, and the problems of its columns.

    ``value`` is the step's ``with``. ``waiting`` is what is known of the values in it that are only known in a run.
    """
    declared = types.of_model(action.outputs)
    flow = registry.column_flow(node.step.uses)
    if flow is None:
        return declared, ()
    given = {
        name: field.get_default(call_default_factory=True)
        for name, field in action.params.model_fields.items()
        if name not in value and not field.is_required()
    }
    given |= {name: _known(item, (name,), waiting) for name, item in value.items()}
    found: Flow = flow(given, files)
    inside = {
        name: types.with_known(item, found.outputs[str(name)]) if name in found.outputs else item
        for name, item in declared.inside.items()
    }
    for name in found.may_be_null:
        inside[name] = types.or_null(inside[name])
    return replace(declared, inside=inside), tuple(found.problems)


def problems(columns: tuple[ColumnProblem, ...], base: Path, document: Document) -> Iterator[Problem]:
    """Yields the problems of a step's columns with their locations. ``base`` leads to its ``with``."""
    for found in columns:
        path = _existing((*base, *found.path), base, document)
        hint = found.hint or (suggest.hint(found.name, found.known, most=40) if found.name else None)
        fix = _fix(found, path, base, document)
        yield document.problem(
            found.code, path, found.message, hint, key=found.at_key, severity=found.severity, fixes=fix
        )


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
    if found.take_out:
        return fixes.removed(path)
    if found.meant:
        beside = document.value(path[:-1])
        return () if found.meant in beside else fixes.moved(path, (*path[:-1], found.meant))
    if found.at_key and found.name:
        return fixes.renamed(path, found.known, document.value(path[:-1]))
    return fixes.named(path, found.name, found.known) if document.value(path) == found.name else ()


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
