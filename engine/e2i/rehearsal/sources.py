"""Find where data enters a pipeline, and how a sample of them should be taken. Pure.

In: the steps of a spec with the types of their outputs. Out: the sources, their tables that are only looked up, and
the columns of entities and classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from e2i.catalog.action import Effect
from e2i.catalog.columns import KnownTable
from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.references import Reference

Entry = tuple[str, str]
"""A source and its output."""
LOOKED_UP: Mapping[str, tuple[str, str]] = {"table.join": ("left", "right"), "table.asof": ("left", "right")}
"""Actions that look rows up: the parameter of the rows, and that of what they are looked up in."""
VIEWS = "feast.apply"
"""The action whose tables are looked up by key and time."""


class Sources(Struct, frozen=True, dict=True):
    """What is known of the data that enters a spec."""

    expanded: Expanded
    environment: TypeEnvironment

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Returns the steps that take no table and return some, in the order of the spec."""
        return tuple(name for name, node in self.expanded.nodes.items() if self._is_source(node))

    def tables(self, node: str) -> Iterator[tuple[str, KnownTable | None]]:
        """Yields the outputs of a step that are tables, with their columns if they are known."""
        given = self.environment.outputs.get(node)
        for name, kinds in given.inside.items() if given else ():
            if any(kind.name == "table" for kind in kinds):
                yield str(name), next((kind.known for kind in kinds if isinstance(kind.known, KnownTable)), None)

    @cached_property
    def looked_up(self) -> frozenset[Entry]:
        """Returns the tables of sources in which others only look rows up: a sample of them would lose matches."""
        found: set[Entry] = set()
        used: set[Entry] = set()
        for node in self.expanded.nodes.values():
            if node.step.uses in LOOKED_UP:
                left, right = (self._behind(node, node.step.with_.get(name)) for name in LOOKED_UP[node.step.uses])
                found |= right - left
                used |= left
            elif node.step.uses == VIEWS:
                found |= self._behind(node, node.step.with_)
        return frozenset(found - used)

    @cached_property
    def entity(self) -> tuple[str, str] | None:
        """Returns the column by which the spec keeps rows together, and the step that names it."""
        return self._first("by", lambda params: params.get("strategy") == "entity")

    @cached_property
    def classes(self) -> tuple[str, str] | None:
        """Returns the column that the spec predicts, and the step that names it."""
        return self._first("target", lambda params: True)

    def _first(self, key: str, counts: Any) -> tuple[str, str] | None:
        for name, node in self.expanded.nodes.items():
            params = self.expanded.known(node).values
            if isinstance(params, dict) and isinstance(params.get(key), str) and counts(params):
                return params[key], name
        return None

    def _is_source(self, node: StepNode) -> bool:
        action = self.environment.registry.action(node.step.uses)
        if action is None or action.effect is not Effect.PURE or action.gate or not list(self.tables(node.id)):
            return False
        read = (reference for path, reference in node.references if path[2] == "with" and reference.root == "steps")
        return not any(_is_table(self.environment.of_reference(reference, node)) for reference in read)

    def _behind(self, node: StepNode, written: Any) -> set[Entry]:
        """Returns the tables of sources that a value of a parameter depends on."""
        found: set[Entry] = set()
        for reference in _references(written):
            if reference.root != "steps" or not reference.path:
                continue
            for feeding in self.expanded.feeding(node, str(reference.path[0])):
                if feeding.inner is not None:  # an included spec: what it reads is not followed
                    continue
                if feeding.id in self.nodes:
                    found.add((feeding.id, str(reference.path[1]) if len(reference.path) > 1 else ""))
                else:
                    found |= self._behind(feeding, feeding.step.with_)
        return found


def _references(written: Any) -> Iterator[Reference]:
    match written:
        case str() if expressions.has_expression(written):
            yield from expressions.parse(written).references
        case dict():
            for item in written.values():
                yield from _references(item)
        case list() | tuple():
            for item in written:
                yield from _references(item)


def _is_table(kinds: Types) -> bool:
    """Returns whether a value is a table, or contains one."""
    return any(kind.name == "table" or any(map(_is_table, kind.inside.values())) for kind in kinds) or (
        kinds == types.ANY
    )
