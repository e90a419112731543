"""Compare the questions that a plan registered with those that its run executed. In: a past run. Out: rows of a table.

A question is a step of an action that is marked as one, such as an estimate of an effect: its estimand, what it adjusts
for, its estimator, its attempts of refutation and their thresholds are its parameters. A run that is bound to a plan
executes the parameters of the plan or is refused, so a difference here is a value that only the run could decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from msgspec import UNSET, Struct
from pydantic import BaseModel

from e2i.catalog.registry import BUILT_IN
from e2i.documents import ParamValues
from e2i.planning.inputs import Components
from e2i.records.past import PastRun
from e2i.report.steps import Step
from e2i.report.values import short

ASKED = ("treatment", "outcome")
"""What makes two specifications attempts at one question, whatever rows they are estimated on."""
ASIDE = frozenset({"table", "keep", "seed", "level", "model"})
"""Parameters that are no part of a specification: the rows, and how the answer is printed."""
EMPTY: tuple[object, ...] = (None, False, [], (), {}, "")


class Row(Struct, frozen=True):
    """One parameter; ``registered`` is empty for a run without a plan, ``executed`` until the step has run."""

    name: str
    registered: str
    executed: str
    differs: bool


class Question(Struct, frozen=True):
    """A step that asks a question. ``on_data`` and ``on_question``: other specifications that finished before it."""

    step: Step
    rows: tuple[Row, ...]
    counted: bool
    """There are figures of earlier specifications: the step estimates an effect of known columns."""
    on_data: int
    on_question: int


def of(past: PastRun, steps: Sequence[Step]) -> tuple[Question, ...]:
    """Returns the questions of a run, in the order of its steps."""
    planned = {step.id: step.inputs for step in past.run.plan.steps}
    found = []
    for step in steps:
        action = BUILT_IN.action(step.uses)
        if action is None or not action.question:
            continue
        inputs = planned.get(step.id, UNSET)
        registered = None if inputs is UNSET or inputs is None else _complete(action.params, inputs.get("params"))
        result = past.results.get(step.fingerprint or "")
        executed = None if result is None else _complete(action.params, result.components.params)
        rows = (*_rows(registered, executed), *_adjusted(registered, step))
        counted = executed is not None and all(name in executed for name in ASKED)
        before = _attempts(past.earlier, step.uses, executed) if executed is not None and counted else (0, 0)
        found.append(Question(step, rows, counted, *before))
    return tuple(found)


def _complete(params: type[BaseModel], given: object) -> ParamValues:
    """Returns the given parameters with the defaults of the others, a level deep: thresholds have defaults too."""
    values = dict(given) if isinstance(given, Mapping) else {}
    found = ParamValues({})
    for name, field in params.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        nested = default.model_dump(mode="json") if isinstance(default, BaseModel) else None
        value = values.get(name, default if nested is None else nested)
        found[name] = {**nested, **value} if nested is not None and isinstance(value, Mapping) else value
    return found


def _rows(registered: ParamValues | None, executed: ParamValues | None) -> Iterator[Row]:
    known = registered if registered is not None else executed
    for name in known or ():
        before, after = (_text(None if side is None else side.get(name)) for side in (registered, executed))
        if not (before or after) or (name in ASIDE and name != "table"):
            continue
        pending = "${{" in before  # an output of another step, which only the run knows
        differs = registered is not None and executed is not None and not pending and before != after
        yield Row(name, before, after, differs)


def _adjusted(registered: ParamValues | None, step: Step) -> Iterator[Row]:
    """Yields what was adjusted for, which a causal graph derives where the question does not say it."""
    found = step.outputs.get("adjusted_for")
    if not isinstance(found, list):
        return
    said = registered or ParamValues({})
    names = [*(said.get("effect_modifiers") or ()), *(said.get("confounders") or ())]
    before = _text(list(dict.fromkeys(names))) if said.get("confounders") or not said.get("graph") else "by the graph"
    yield Row("adjusted for", "" if registered is None else before, _text(found), False)


def _text(value: object) -> str:
    """Returns a value for the table; empty for one that says nothing."""
    if isinstance(value, Mapping) and "$artifact" in value:
        return short(str(value["$artifact"]))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(one)}" for key, one in value.items() if one not in EMPTY)
    if isinstance(value, list | tuple):
        return "; ".join(map(_text, value))
    return "" if any(value is empty for empty in (None, False)) else str(value)


def _attempts(earlier: Sequence[Components], uses: str, executed: ParamValues) -> tuple[int, int]:
    """Returns the number of other specifications on the same table, and of the same question on any."""
    own, data, question = _key(executed), set(), set()
    for components in earlier:
        action = BUILT_IN.action(components.action)
        if components.action != uses or action is None:
            continue
        other = _complete(action.params, components.params)
        key = _key(other)
        if other["table"] == executed["table"] and key != own:
            data.add(key)
        if all(other[name] == executed[name] for name in ASKED) and (key != own or other["table"] != executed["table"]):
            question.add((key, json.dumps(other["table"], sort_keys=True)))
    return len(data), len(question)


def _key(params: ParamValues) -> str:
    kept = {name: value for name, value in params.items() if name not in ASIDE}
    return json.dumps(kept, sort_keys=True, default=list)
