"""Replaces what cannot be read in a spec by values that are not known, so that the rest of it can be checked.

In: a loaded spec with expressions that cannot be parsed. Out: the same spec without them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from e2i.spec import expressions
from e2i.spec.expansion.nodes import Pending
from e2i.spec.load import LoadedSpec
from e2i.spec.models import StepSpec
from e2i.spec.values import ExpressionError

UNKNOWN = Pending("", ())
"""A value of which nothing is known, not even its references."""


def without_unreadable(loaded: LoadedSpec) -> LoadedSpec:
    """Returns the spec and its included specs without expressions that cannot be parsed."""
    included = {uses: inner and without_unreadable(inner) for uses, inner in loaded.included.items()}
    steps, unknown, unjudged = {}, set(loaded.unknown), set(loaded.unjudged)
    for section, name, step in loaded.spec.every_step():
        if not _can_be_read(step.matrix):
            unjudged.add(name)
            continue
        if not _can_be_read(step.with_):
            unknown.add((section, name))
        steps[section, name] = _readable(step)
    outputs = {name: value for name, value in loaded.spec.outputs.items() if _can_be_read(value)}
    spec = loaded.spec.model_copy(
        update={
            "steps": {name: step for (section, name), step in steps.items() if section == "steps"},
            "finally_": {name: step for (section, name), step in steps.items() if section == "finally"},
            "outputs": outputs,
        }
    )
    return replace(
        loaded,
        spec=spec,
        included=included,
        unjudged=frozenset(unjudged),
        unknown=frozenset(unknown),
        is_whole=loaded.is_whole and len(outputs) == len(loaded.spec.outputs),
        _references={},
        _plain=set(),
    )


def _readable(step: StepSpec) -> StepSpec:
    if _can_be_read(step.with_) and _can_be_read(step.when):
        return step
    when = step.when if _can_be_read(step.when) else True
    return step.model_copy(update={"with_": _filled(step.with_), "when": when})


def _can_be_read(value: Any) -> bool:
    return not any(isinstance(found, ExpressionError) for _, found in expressions.walk(value))


def _filled(value: Any) -> Any:
    """Returns the value with each text that cannot be read replaced by an unknown value."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return value if _can_be_read(value) else UNKNOWN
