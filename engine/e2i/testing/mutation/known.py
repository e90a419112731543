"""Find what a change of the spec cannot affect in a case, so that it need not run again.

In: the plans of a case on the spec and on the mutant. Out: the steps whose results are the same.
"""

from __future__ import annotations

from msgspec import Struct

from e2i.catalog.registry import Registry
from e2i.documents import OutputValues
from e2i.execution.record import RunRecord
from e2i.execution.state import Status
from e2i.planning.canonical import digest
from e2i.planning.model import Plan
from e2i.testing.preparing import PreparedCase
from e2i.testing.running import CaseRun, Known, is_effect


class Before(Struct, frozen=True):
    """A case on the unchanged spec."""

    prepared: PreparedCase
    run: CaseRun | None
    """None for a case whose spec is not valid, as it expects."""
    seconds: float

    @property
    def record(self) -> RunRecord | None:
        return self.run.record if self.run else None


def keys(plan: Plan) -> dict[str, str]:
    """Returns for each step a key of everything that its result depends on, the steps upstream included."""
    found: dict[str, str] = {}
    for step in plan.steps:
        found[step.id] = digest([step.document.covered, [found.get(name, "") for name in step.needs]])
    return found


def affected(before: Before, prepared: PreparedCase, plan: Plan) -> frozenset[str]:
    """Returns the steps of a case that may have another result on the mutant."""
    assert before.run is not None and before.run.plan is not None
    own, earlier = keys(plan), keys(before.run.plan)
    return frozenset(name for name in prepared.run if own.get(name) != earlier.get(name))


def kept(before: Before, prepared: PreparedCase, changed: frozenset[str], registry: Registry) -> Known | None:
    """Returns the results of the unchanged spec that the mutant has too. None: all steps must run.

    A step with an effect outside of the store runs again when a step after it does, or when any other such step does.
    """
    record, run = before.record, before.run
    expanded = prepared.expanded
    if record is None or run is None or run.store is None or expanded is None:
        return None
    effects = {name for name in prepared.run if is_effect(registry, expanded.nodes[name].step.uses)}
    again = set(changed)
    if again & effects:
        again |= effects
    waiting = list(again)
    while waiting:
        for name in expanded.upstream(expanded.nodes[waiting.pop()]):
            if name in effects and name not in again:
                again.add(name)
                waiting.append(name)
    outputs: dict[str, OutputValues] = {}
    for name in prepared.run - again:
        step = record.steps.get(name)
        if step is not None and step.status is Status.SUCCEEDED and step.outputs is not None and name not in effects:
            outputs[name] = step.outputs
    return Known(outputs, run.store) if outputs else None
