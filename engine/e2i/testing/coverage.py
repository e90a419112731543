"""Measures what the cases of a spec exercise.

In: the cases of a spec with their runs. Out: ``SpecCoverage``: steps, conditions both ways, combinations, outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from e2i.execution.state import Status
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.expressions import Template
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError
from e2i.testing.preparing import PreparedCase, braced
from e2i.testing.results import SpecCoverage
from e2i.testing.running import CaseRun

EXECUTED = (Status.SUCCEEDED, Status.FAILED, Status.DEFERRED)
Item = tuple[str, str]
"""A kind, and what it is of."""


def measure(spec: str, cases: Sequence[tuple[PreparedCase, CaseRun | None]]) -> SpecCoverage:
    """Returns the coverage of one spec by its cases."""
    wanted: dict[Item, None] = {}
    found: set[Item] = set()
    runnable = [prepared for prepared, _ in cases if prepared.expanded is not None]
    for prepared, run in cases:
        if prepared.expanded is None and runnable:
            continue  # it expects a problem: its parameters are not those of a run
        expanded = prepared.expanded or prepared.draft.expanded
        if expanded is None:
            continue
        wanted.update(dict.fromkeys(_items(expanded)))
        if run is not None and run.record is not None:
            found.update(_exercised(prepared, run))
    missing = [f"{kind} {name}" for kind, name in wanted if (kind, name) not in found]
    return SpecCoverage(spec=spec, covered=len(wanted) - len(missing), total=len(wanted), missing=missing)


def _items(expanded: Expanded) -> Iterator[Item]:
    """Yields all that there is to exercise."""
    for node in expanded.nodes.values():
        yield ("combination" if node.combination is not None else "step"), node.id
        if node.is_conditional:
            yield "when true", node.group
            yield "when false", node.group
    for name in expanded.loaded.spec.outputs:
        yield "output", name


def _exercised(prepared: PreparedCase, run: CaseRun) -> Iterator[Item]:
    assert run.record is not None and prepared.expanded is not None
    expanded = prepared.expanded
    for name, step in run.record.steps.items():
        node = expanded.nodes[name]
        if step.status in EXECUTED:
            yield ("combination" if node.combination is not None else "step"), name
            yield "when true", node.group
        elif name in prepared.run and step.status is Status.SKIPPED and _is_false(expanded, node, run):
            yield "when false", node.group
    read = set(_asserted(prepared))
    for name, value in expanded.loaded.spec.outputs.items():
        if read & {reference.path[:2] for reference in _references(value) if reference.root == "steps"}:
            yield "output", name


def _is_false(expanded: Expanded, node: StepNode, run: CaseRun) -> bool:
    try:
        return expanded.condition(node, run.outputs)[0] is False
    except ExpressionError:
        return False


def _asserted(prepared: PreparedCase) -> Iterator[tuple[str | int, ...]]:
    """Yields the step and output of each reference in the expectations."""
    expect = prepared.case.expect
    named = [*expect.tables, *expect.snapshot, *(name for one in expect.disjoint for name in one.tables)]
    for text in (*expect.holds, *map(braced, named)):
        for reference in _references(text):
            if reference.root == "steps":
                yield reference.path[:2]


def _references(value: object) -> Iterator[Reference]:
    for _, template in expressions.walk(value):
        if isinstance(template, Template):
            yield from template.references
