"""The steps as a directed graph. In: nodes and what each waits for. Out: an order, and the steps that a selection
means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from e2i.errors import BadInput
from e2i.spec import suggest
from e2i.spec.expand import Expanded


def build(expanded: Expanded) -> nx.DiGraph[str]:
    """An edge a → b for every b that waits for a."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(expanded.nodes)
    graph.add_edges_from((above, node.id) for node in expanded.nodes.values() for above in expanded.upstream(node))
    return graph


def order(graph: nx.DiGraph[str]) -> list[str]:
    """A topological order; steps that could come in any order come in the order of the spec."""
    position = {name: index for index, name in enumerate(graph)}
    return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))


def select(graph: nx.DiGraph[str], expressions: Iterable[str], labels: Mapping[str, set[str]]) -> set[str]:
    """The steps that ``--select`` names, and all that these need.

    An expression is a step id, ``+id`` (the same: what a step needs is always included), ``id+`` (also what depends
    on it), or ``tag:NAME``. ``labels`` maps ids of the spec and ``tag:NAME`` to nodes. Raises BadInput.
    """
    chosen: set[str] = set()
    for expression in expressions:
        name = expression.removeprefix("+").removesuffix("+")
        if name not in labels:
            raise BadInput(
                f'--select: there is no step or tag "{name}"', code="unknown-step", hint=suggest.hint(name, labels)
            )
        chosen |= labels[name]
        if expression.endswith("+"):
            for node in labels[name]:
                chosen |= nx.descendants(graph, node)
    for node in tuple(chosen):
        chosen |= nx.ancestors(graph, node)
    return chosen
