"""Read the spec of a recorded run again.

In: the record of a run. Out: its steps, its plan or a step's parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i import route
from e2i.documents import ParamValues
from e2i.errors import BadInput
from e2i.store.past import RecordedRun
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.planning.model import Plan
    from e2i.spec.expansion.expanded import Expanded
    from e2i.spec.models import PipelineSpec


def given(run: RecordedRun, step: str, workspace: Workspace) -> ParamValues | None:
    """Returns the parameters of a step of a recorded run, resolved again from its spec; None when that is no longer
    possible.

    For a step without a kept result: one that failed or is still running.
    """
    from e2i.spec.expansion.nodes import plain
    from e2i.spec.values import ExpressionError

    expanded = as_recorded(run, workspace)
    node = expanded.nodes.get(step) if expanded else None
    if expanded is None or node is None:
        return None
    outputs = {row.id: row.outputs for row in run.steps if row.outputs is not None}
    try:
        found = plain(expanded.resolve(node.step.with_, node, outputs))
    except ExpressionError:
        found = plain(expanded.resolve(node.step.with_, node, {}))
    return ParamValues(found) if isinstance(found, dict) else None


def as_recorded(run: RecordedRun, workspace: Workspace) -> Expanded | None:
    """Returns the spec of a recorded run with its parameters; None when the spec is not valid here."""
    try:
        return route.valid(route.examine(Source.recorded(run), workspace, run.params))
    except (BadInput, ValueError):
        return None


def as_planned(run: RecordedRun, workspace: Workspace) -> tuple[PipelineSpec, Plan] | None:
    """Returns the spec of a recorded run and its plan without files and libraries, to compare what specs mean."""
    from e2i.planning.build import Planner
    from e2i.planning.fingerprint import Environment
    from e2i.store.history import NoHistory

    expanded = as_recorded(run, workspace)
    if expanded is None:
        return None
    registry = workspace.settings.registry
    nothing = Environment(library=lambda name: None, file=lambda name: None, python="", registry=registry)
    return expanded.loaded.spec, Planner(expanded, NoHistory(), nothing, profile=run.profile).plan()
