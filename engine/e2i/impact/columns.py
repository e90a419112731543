"""Which columns of which tables differ, and which steps name them. Pure.

In: the types of a spec's outputs at two revisions. Out: ``ColumnChange``s, and for each step the ones that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from e2i.catalog.columns import KnownTable
from e2i.check import parameters
from e2i.check.context import CheckContext
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Type, Types
from e2i.impact.results import ColumnChange
from e2i.spec.expansion.expanded import At
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.references import Reference


def changed(before: CheckContext, after: CheckContext) -> Iterator[ColumnChange]:
    """Yields the columns that were removed, added or retyped, at the step where they enter the spec."""
    for name in after.expanded.nodes:
        if name not in before.expanded.nodes:
            continue
        old, new = (_tables(context.environment.outputs.get(name)) for context in (before, after))
        inputs = [set(_inputs(context, name)) for context in (before, after)]
        passed_on = {column for column, _ in inputs[0] ^ inputs[1]}
        for output in old.keys() & new.keys():
            for column in dict.fromkeys((*old[output].columns, *new[output].columns)):
                found = _difference(old[output], new[output], column)
                if found is not None and column not in passed_on:
                    yield ColumnChange(step=name, output=output, column=column, before=found[0], after=found[1])


def retyped(before: CheckContext, after: CheckContext, node: StepNode) -> dict[str, tuple[str, str]]:
    """Returns the columns of the tables that a step reads whose type is known and has changed."""
    if node.id not in before.expanded.nodes:
        return {}
    old = dict(_inputs(before, node.id))
    return {
        column: (kind, new)
        for column, new in _inputs(after, node.id)
        if (kind := old.get(column)) is not None and new is not None and kind != new
    }


def is_named(context: CheckContext, node: StepNode, column: str) -> bool:
    """Returns whether a step would be wrong without a column of the tables that it reads."""
    registry = context.environment.registry
    action = registry.action(node.step.uses)
    if action is None or not action.columns:
        return False
    value = context.expanded.known(node).values
    counts = []
    for left_out in (None, column):
        environment = _Without(context, left_out)
        found = parameters.check(context.expanded, environment, node, action, value, context.files)
        counts.append({(problem.code, problem.path, problem.message) for problem in found})
    return bool(counts[1] - counts[0])


class _Without(TypeEnvironment):
    """The same types, with tables that lack a column."""

    def __init__(self, context: CheckContext, column: str | None) -> None:
        super().__init__(context.expanded, context.environment.registry)
        self._outputs = dict(context.environment.outputs)
        self._column = column

    def of_reference(self, reference: Reference, node: At) -> Types:
        given = super().of_reference(reference, node)
        return given if self._column is None else tuple(_without(one, self._column) for one in given)


def _without(given: Type, column: str) -> Type:
    if isinstance(given.known, KnownTable):
        return replace(given, known=given.known.without([column]))
    inside = {key: tuple(_without(one, column) for one in inner) for key, inner in given.inside.items()}
    return replace(given, inside=inside) if inside else given


def _tables(given: Type | None) -> Mapping[str, KnownTable]:
    """Returns the tables of known columns among the outputs of a step."""
    found: dict[str, KnownTable] = {}
    for name, kinds in given.inside.items() if given else ():
        for kind in kinds:
            if isinstance(kind.known, KnownTable):
                found[str(name)] = kind.known
    return found


def _inputs(context: CheckContext, name: str) -> Iterator[tuple[str, str | None]]:
    """Yields the columns of the tables that a step reads, with their types."""
    node = context.expanded.nodes[name]
    for path, reference in node.references:
        if path[2] == "with" and reference.root == "steps":
            for given in context.environment.of_reference(reference, node):
                if isinstance(given.known, KnownTable):
                    yield from given.known.columns.items()


def _difference(old: KnownTable, new: KnownTable, column: str) -> tuple[str | None, str | None] | None:
    """Returns the types of a column before and after, where they differ; None: it is not there."""
    kinds = [table.columns.get(column) or "any" if column in table.columns else None for table in (old, new)]
    return None if kinds[0] == kinds[1] or ("any" in kinds and None not in kinds) else (kinds[0], kinds[1])
