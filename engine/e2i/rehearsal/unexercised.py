"""List what a rehearsal did not exercise, and where steps failed.

In: the record of its run, the steps of the spec, what was led elsewhere. Out: the lists of its document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from e2i.catalog.action import Effect
from e2i.execution.record import RunRecord
from e2i.execution.state import Status
from e2i.planning.model import Plan, Why
from e2i.rehearsal.results import NotExercised
from e2i.settings import Settings
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Problem


def failures(record: RunRecord, expanded: Expanded, excused: Collection[str] = ()) -> Iterator[Problem]:
    """Yields a problem for each failed step, at its ``uses``."""
    for name, step in record.steps.items():
        if step.status is Status.FAILED and name not in excused:
            node = expanded.nodes[name]
            assert step.error is not None
            message = f'step "{name}" failed: {step.error.message}'
            yield node.document.problem(step.error.code, (*node.path, "uses"), message, step.error.hint)


def listed(
    record: RunRecord, plan: Plan, expanded: Expanded, settings: Settings, excused: Mapping[str, str]
) -> Iterator[NotExercised]:
    """Yields steps that were not executed, what goes to trackers and servers in a run, and branches not taken.

    ``excused``: steps that cannot take zero rows, with what was done instead.
    """
    reasons = {step.id: step.reason for step in plan.steps}
    for name, step in record.steps.items():
        node = expanded.nodes[name]
        if name in excused:
            yield NotExercised(kind="not-executed", step=name, detail=excused[name])
        elif step.status is Status.SKIPPED and reasons[name].code is not Why.NOT_SELECTED:
            yield NotExercised(kind="skipped", step=name, detail=_why_skipped(node, record, expanded))
        else:
            yield from _branches(node, step.status)
    for tracker in settings.sinks:
        yield NotExercised(kind="held-back", step="", detail=f"nothing is reported to {tracker}")
    tools = {step.uses.partition(".")[0] for step in record.steps.values()}
    for tool in sorted(tools - {"database", "remote"}):
        if not settings.tool(tool).is_embedded:
            detail = f"{tool} ran embedded, not at {', '.join(settings.tool(tool).addresses())}"
            yield NotExercised(kind="stand-in", step="", detail=detail)
    yield from _effects(record, settings)
    if settings.on_finish:
        yield NotExercised(kind="held-back", step="", detail="hooks of on_finish are not called")


def _why_skipped(node: StepNode, record: RunRecord, expanded: Expanded) -> str:
    outputs = {name: step.outputs for name, step in record.steps.items()}
    blocking = [name for name in expanded.upstream(node) if record.steps[name].status not in _GOOD]
    if blocking:
        return f"after {', '.join(blocking)}, which has no result"
    condition, unit = expanded.condition(node, outputs)
    return f"when: {unit.condition} is {str(condition).lower()}"


_GOOD = (Status.SUCCEEDED, Status.REUSED)


def _branches(node: StepNode, status: Status) -> Iterator[NotExercised]:
    """Yields the branches of a step that only a failure or an outage would take."""
    if status in _GOOD and node.options.on_error == "continue":
        yield NotExercised(kind="branch", step=node.id, detail="on_error: continue: it did not fail")
    if status in _GOOD and node.options.on_unavailable != "fail":
        detail = f"on_unavailable: {node.options.on_unavailable}: its tool was available"
        yield NotExercised(kind="branch", step=node.id, detail=detail)


def _effects(record: RunRecord, settings: Settings) -> Iterator[NotExercised]:
    """Yields the tools that steps changed, in the throw-away store."""
    changed: dict[str, list[str]] = {}
    for name, step in record.steps.items():
        action = settings.registry.action(step.uses)
        tool = step.uses.partition(".")[0]
        outside = action is not None and action.effect is Effect.EXTERNAL and tool not in ("data", "database", "remote")
        if outside and step.status is Status.SUCCEEDED:
            changed.setdefault(tool, []).append(name)
    for tool, names in sorted(changed.items()):
        detail = f"{tool} was changed in a throw-away store only, by {', '.join(names)}"
        yield NotExercised(kind="stand-in", step="", detail=detail)
