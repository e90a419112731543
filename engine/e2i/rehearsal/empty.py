"""Prepare a rehearsal without rows: which steps can be executed, and what the others are replaced by.

In: the steps of a spec with the columns that are known of their tables. Out: tables without rows, steps to execute.
After the run: the problems of all steps, with the columns that tables really have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from e2i.catalog.artifacts import Table
from e2i.catalog.columns import KnownTable
from e2i.catalog.registry import Registry
from e2i.check import check as check_rules
from e2i.check import order, types
from e2i.check.context import CheckContext
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Type, Types
from e2i.documents import OutputValues
from e2i.rehearsal.sources import Sources
from e2i.route import Draft
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Problem

if TYPE_CHECKING:
    import pyarrow as pa

TAKE_NO_ROWS = ("table", "sql", "python", "debug")
"""Tools whose actions have a result for tables without rows."""
NOT = ("table.pivot", "table.sample")
"""Of ``table.pivot``, the values are the columns."""
OF_NO_ROWS = ("IndexError", "ZeroDivisionError", "StopIteration", "ValueError: zero-size", "empty", "no rows", "0 row")
"""Parts of messages of functions that need rows."""


class Prepared(Struct, frozen=True):
    """What a rehearsal without rows executes."""

    given: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    """Tables without rows, by step and output. These steps are not executed."""
    run: frozenset[str] = frozenset()


def prepare(sources: Sources) -> Prepared:
    """Returns what to execute: sources whose columns are unknown, and steps that take tables without rows."""
    given: dict[str, Mapping[str, pa.Table]] = {}
    run: set[str] = set()
    for node in order.along(sources.expanded):
        known = {name: _no_rows(table) for name, table in sources.tables(node.id) if table is not None}
        if node.id in sources.nodes:
            if known and len(known) == len(list(sources.tables(node.id))):
                given[node.id] = known
            elif _is_available(sources.expanded, node, given, run):
                run.add(node.id)
        elif takes_no_rows(node.step.uses) and _is_available(sources.expanded, node, given, run):
            run.add(node.id)
        elif known:
            given[node.id] = known
    return Prepared(given, frozenset(run))


def takes_no_rows(uses: str) -> bool:
    """Returns whether an action has a result for tables without rows."""
    return uses not in NOT and uses.partition(".")[0] in TAKE_NO_ROWS


def needs_rows(message: str) -> bool:
    """Returns whether an error of a function comes from the lack of rows."""
    return any(part in message for part in OF_NO_ROWS)


def problems(draft: Draft, context: CheckContext, outputs: Mapping[str, OutputValues | None]) -> Iterator[Problem]:
    """Yields the errors that steps have with the columns that tables really have, and did not have before."""
    assert draft.expanded is not None
    actual = {name: dict(_tables(found)) for name, found in outputs.items() if found}
    environment = ActualColumns(draft.expanded, context.authority.registry, actual)
    again = CheckContext(draft.expanded, context.authority, environment, context.files)
    before = {problem.sort_key for problem in draft.problems}
    for problem in check_rules(again):
        if problem.severity == "error" and problem.sort_key not in before:
            yield problem


class ActualColumns(TypeEnvironment):
    """The types of outputs, with the columns that tables had in a run."""

    def __init__(self, expanded: Expanded, registry: Registry, actual: Mapping[str, Mapping[str, KnownTable]]) -> None:
        super().__init__(expanded, registry)
        self._actual = actual

    def learn(self, node: StepNode, outputs: Type) -> None:
        """Records the output types of a step, with the columns of its tables in the run."""
        if actual := self._actual.get(node.id):
            found: dict[str | int, Types] = {
                name: types.with_known((types.of_model(Table),), table) for name, table in actual.items()
            }
            outputs = Type(outputs.name, {**outputs.inside, **found}, outputs.rest, outputs.optional, outputs.lax)
        super().learn(node, outputs)


def _tables(outputs: OutputValues) -> Iterator[tuple[str, KnownTable]]:
    for name, value in outputs.items():
        if isinstance(value, dict) and value.get("type") == "table":
            yield name, KnownTable({column["name"]: column["type"] for column in value["columns"]})


def _no_rows(known: KnownTable) -> pa.Table:
    import pyarrow as pa

    from e2i.testing.reading import arrow_type

    fields = [pa.field(name, arrow_type(declared) or pa.null()) for name, declared in known.columns.items()]
    return pa.schema(fields).empty_table()


def _is_available(
    expanded: Expanded, node: StepNode, given: Mapping[str, Mapping[str, pa.Table]], run: set[str]
) -> bool:
    """Returns whether all that a step reads is executed, or a table without rows."""
    for unit in node.chain:
        for _, reference in unit.references:
            if reference.root != "steps" or reference.optional:
                continue
            for feeding in expanded.feeding(unit, str(reference.path[0])):
                if feeding.inner is not None:
                    return all(leaf in run or leaf in given for leaf in expanded.sources(node).steps)
                has = given.get(feeding.id, {})
                if feeding.id not in run and (len(reference.path) < 2 or str(reference.path[1]) not in has):
                    return False
    return True
