"""The steps as a directed graph. In: the dependencies of each node. Out: an order, and the steps of a selection.

NetworkX is imported only to order or select steps: importing it takes as long as the rest of ``e2i plan``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from e2i.errors import BadInput
from e2i.spec import suggest
from e2i.spec.expansion.expanded import Expanded

if TYPE_CHECKING:
    import networkx as nx

Waits = Mapping[str, Collection[str]]
"""Each node, in the order of the spec, with the nodes that it waits for."""


def waits(expanded: Expanded) -> Waits:
    """Returns the dependencies of each node of a checked spec."""
    return {node.id: expanded.upstream(node) for node in expanded.nodes.values()}


def build(waits: Waits) -> nx.DiGraph[str]:
    """Returns a graph with an edge a → b for every b that waits for a."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(waits)
    graph.add_edges_from((other, name) for name, needed in waits.items() for other in needed)
    return graph


def order(waits: Waits) -> list[str]:
    """Returns a topological order. Independent steps are in the order of the spec."""
    if _is_ordered(waits):
        return list(waits)
    import networkx as nx

    position = {name: index for index, name in enumerate(waits)}
    return list(nx.lexicographical_topological_sort(build(waits), key=position.__getitem__))


def _is_ordered(waits: Waits) -> bool:
    """Returns True when every node already comes after its dependencies, as in most specs that people write."""
    seen: set[str] = set()
    for name, needed in waits.items():
        if not seen.issuperset(needed):
            return False
        seen.add(name)
    return True


def select(graph: nx.DiGraph[str], expressions: Iterable[str], labels: Mapping[str, set[str]]) -> set[str]:
    """Returns the steps that ``--select`` names, with their dependencies.

    An expression is a step id, ``+id`` (the same: dependencies are always included), ``id+`` (also what depends on
    it), or ``tag:NAME``. ``labels`` maps ids of the spec and ``tag:NAME`` to nodes. Raises BadInput.
    """
    chosen: set[str] = set()
    leading: set[str] = set()
    for expression in dict.fromkeys(expressions):
        name = expression.removeprefix("+").removesuffix("+")
        if name not in labels:
            raise BadInput(
                f'--select: there is no step or tag "{name}"', code="unknown-step", hint=suggest.hint(name, labels)
            )
        (leading if expression.endswith("+") else chosen).update(labels[name])
    return _reached(chosen | _reached(leading, graph.succ), graph.pred)


def _reached(start: Iterable[str], neighbours: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns the start nodes and all nodes reached from them. Every edge is followed once, however many start."""
    reached = set(start)
    waiting = list(reached)
    while waiting:
        fresh = [node for node in neighbours[waiting.pop()] if node not in reached]
        reached.update(fresh)
        waiting += fresh
    return reached
