"""Find one result in the record of a run: an output of the pipeline or of a step, or a part of it.

In: a run's document, a name. Out: the value, plain data or an artifact's document.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from e2i.documents import OutputValues
from e2i.errors import BadInput
from e2i.spec import suggest
from e2i.store.past import RecordedRun


def find(run: RecordedRun, name: str) -> Any:
    """Returns the result named ``OUTPUT``, ``STEP.OUTPUT`` or a part such as ``OUTPUT.KEY``. Raises BadInput.

    Where an output and a step have one name and both have such a part, the output is meant.
    """
    outputs = run.outputs or OutputValues()
    steps = {step.id: step.outputs for step in run.steps if step.outputs is not None}
    first, dot, rest = name.partition(".")
    if name in outputs:
        return outputs[name]
    wholes = [outputs[first]] if first in outputs else []
    wholes += [steps[first]] if first in steps and dot else []
    for whole in wholes[:-1]:
        with suppress(BadInput):
            return _inside(whole, rest, name, run)
    if wholes:
        return _inside(wholes[-1], rest, name, run)
    known = [*outputs, *(f"{step}.{output}" for step, found in steps.items() for output in found)]
    hint = suggest.hint(name, known, most=20) or "the run has no results"
    raise BadInput(f"run {run.id} has no output {name!r}", code="unknown-output", hint=hint)


def _inside(value: Any, path: str, name: str, run: RecordedRun) -> Any:
    """Returns the part of a value at a dotted path; keys may hold dots themselves."""
    while path:
        if not isinstance(value, Mapping):
            raise BadInput(f"run {run.id} has no output {name!r}", code="unknown-output", hint="leave a part out")
        key = path if path in value else path.partition(".")[0]
        if key not in value:
            hint = suggest.hint(key, list(map(str, value)), most=20)
            raise BadInput(f"run {run.id} has no output {name!r}", code="unknown-output", hint=hint)
        value, path = value[key], path[len(key) + 1 :]
    return value
