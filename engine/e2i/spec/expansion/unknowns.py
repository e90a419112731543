"""Replaces what cannot be read in a spec by values that are not known, so that the rest of it can be checked.

In: a loaded spec with expressions that cannot be parsed. Out: the same spec without them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from e2i.documents import JsonObject
from e2i.spec import expressions
from e2i.spec.expansion.nodes import Path, Pending
from e2i.spec.load import LoadedSpec
from e2i.spec.models import StepSpec
from e2i.spec.values import ExpressionError

UNKNOWN = Pending("", ())
"""A value of which nothing is known, not even its references."""


def without_unreadable(loaded: LoadedSpec) -> LoadedSpec:
    """Returns the spec and its included specs without expressions that cannot be parsed."""
    included = {uses: inner and without_unreadable(inner) for uses, inner in loaded.included.items()}
    steps: dict[str, dict[str, StepSpec]] = {"steps": {}, "finally": {}}
    unknown, unjudged = set(loaded.unknown), set(loaded.unjudged)
    for section, name, step in loaded.spec.every_step():
        path = (section, name)
        if not _can_be_read(loaded, (*path, "matrix"), step.matrix):
            unjudged.add(name)
            continue
        if not _can_be_read(loaded, (*path, "with"), step.with_):
            unknown.add(path)
        steps[section][name] = _readable(loaded, path, step)
    written = loaded.spec.outputs
    outputs = {name: value for name, value in written.items() if _can_be_read(loaded, ("outputs", name), value)}
    changed = {"steps": steps["steps"], "finally_": steps["finally"], "outputs": outputs}
    return replace(
        loaded,
        spec=loaded.spec.model_copy(update=changed),
        included=included,
        unjudged=frozenset(unjudged),
        unknown=frozenset(unknown),
        is_whole=loaded.is_whole and len(outputs) == len(written),
        _references={},
        _plain=set(),
    )


def _readable(loaded: LoadedSpec, path: Path, step: StepSpec) -> StepSpec:
    changed: JsonObject = {}
    if not _can_be_read(loaded, (*path, "with"), step.with_):
        changed["with_"] = _filled(loaded, (*path, "with"), step.with_)
    if not _can_be_read(loaded, (*path, "when"), step.when):
        changed["when"] = True
    return step.model_copy(update=changed) if changed else step


def _can_be_read(loaded: LoadedSpec, path: Path, value: Any) -> bool:
    return not any(
        isinstance(found, ExpressionError) or loaded.is_unjudged((*path, *inside))
        for inside, found in expressions.walk(value)
    )


def _filled(loaded: LoadedSpec, path: Path, value: Any) -> Any:
    """Returns the value with each text that cannot be read replaced by an unknown value."""
    if isinstance(value, dict):
        return {key: _filled(loaded, (*path, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(loaded, (*path, index), item) for index, item in enumerate(value)]
    return value if _can_be_read(loaded, path, value) else UNKNOWN
