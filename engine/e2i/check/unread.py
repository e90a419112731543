"""Warns of steps that only produce tables which nothing reads: such a step costs time and has no effect.

In: an expanded spec. Out: warnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2i.catalog.action import Action, Effect
from e2i.catalog.artifacts import ARTIFACTS
from e2i.check import types
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.problems import Code, Problem

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields one warning for each such step of a file."""
    expanded = context.expanded
    used = _used(expanded)
    unread = [node for node in expanded.nodes.values() if node.id not in used]
    for node in {(node.document.file, node.path): node for node in unread}.values():
        found = context.authority.registry.action(node.step.uses)
        if found is not None and _makes_only_tables(found):
            hint = "read it in another step, name it under outputs, or remove the step"
            message = f'nothing reads the table of step "{node.name}"'
            yield node.document.problem("unread-table", node.path, message, hint, key=True, severity="warning")


def _used(expanded: Expanded) -> set[str]:
    """Returns the nodes that others wait for, or that an output names."""
    used: set[str] = set()
    for node in expanded.nodes.values():
        used.update(expanded.upstream(node))
    for instance in expanded.instances:
        for _, template in expressions.walk(instance.loaded.spec.outputs):
            if isinstance(template, expressions.Template):
                for reference in template.references:
                    used.update(expanded.behind(instance, reference).steps)
    return used


def _makes_only_tables(action: Action) -> bool:
    """Returns True when the action only produces tables: no model, report or metric, which people read."""
    outputs = types.of_model(action.outputs).inside
    artifacts = {one.name for output in outputs.values() for one in output if one.name in ARTIFACTS}
    is_pure = action.effect is Effect.PURE and action.idempotent and not action.gate
    return is_pure and artifacts == {"table"} and "metrics" not in outputs


CODES = (
    Code(
        "unread-table",
        "A table that nothing reads",
        "The step only produces a table, and neither a step nor an output reads the table. The run would waste this "
        "time. This is a warning.",
        "Read the table in another step, name it under `outputs`, or remove the step.",
        "steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\n",
        'steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\noutputs:\n  rows: "${{ steps.a.history }}"\n',
    ),
)
