"""Find mediators that carry a whole effect: the front-door criterion. In: a causal graph. Out: columns, and paths.

The criterion is that of Pearl 2009, "Causality", definition 3.3.3. The search removes what no front door can have and
then asks once whether the rest is one, as in Jeong, Tian, Bareinboim 2022, "Finding and listing front-door adjustment
sets".
"""

from __future__ import annotations

from collections.abc import Collection

from e2i.tools.causal.graph import Graph, separated


def front_door(graph: Graph, treatment: str, outcome: str) -> tuple[str, ...] | None:
    """Return measured mediators that are a front door, none of which can be left out; None: there is no front door."""
    between = (graph.after(treatment) & graph.before(outcome)) - graph.unmeasured
    found = [name for name in sorted(between) if not _is_confounded(graph, treatment, name)]
    while bad := [name for name in found if _is_open(graph, treatment, outcome, name, found)]:
        found = [name for name in found if name not in bad]
    if not is_front_door(graph, treatment, outcome, found):
        return None
    for name in list(found):
        fewer = [other for other in found if other != name]
        if is_front_door(graph, treatment, outcome, fewer):
            found = fewer
    return tuple(found)


def is_front_door(graph: Graph, treatment: str, outcome: str, mediators: Collection[str]) -> bool:
    """Return whether the whole effect goes through the mediators, and nothing but it through them."""
    return against(graph, treatment, outcome, mediators) is None


def against(
    graph: Graph, treatment: str, outcome: str, mediators: Collection[str], given: Collection[str] = ()
) -> str | None:
    """Return which condition of the criterion the mediators do not meet, in words; None: they meet all three.

    ``given`` are columns that are adjusted for, which the treatment does not change.
    """
    if not mediators:
        return "there are no mediators"
    if path := _around(graph, treatment, outcome, mediators):
        return f"they do not block all directed paths: {' -> '.join(path)} goes past them"
    for name in sorted(mediators):
        if _is_confounded(graph, treatment, name, given):
            return f'a path between "{treatment}" and "{name}" is open, and is not an effect of "{treatment}"'
    for name in sorted(mediators):
        if _is_open(graph, treatment, outcome, name, mediators, given):
            return f'given "{treatment}", a path between "{name}" and "{outcome}" is open, and is not their effect'
    return None


def _around(graph: Graph, treatment: str, outcome: str, mediators: Collection[str]) -> list[str] | None:
    import networkx as nx

    rest = graph.arrows.copy()
    rest.remove_nodes_from(mediators)
    if treatment not in rest or outcome not in rest or not nx.has_path(rest, treatment, outcome):
        return None
    return list(nx.shortest_path(rest, treatment, outcome))


def _is_confounded(graph: Graph, treatment: str, mediator: str, given: Collection[str] = ()) -> bool:
    return not separated(graph.without_effects_of(treatment), treatment, mediator, given)


def _is_open(
    graph: Graph, treatment: str, outcome: str, mediator: str, mediators: Collection[str], given: Collection[str] = ()
) -> bool:
    left = graph.arrows.copy()
    left.remove_edges_from([edge for node in mediators for edge in graph.arrows.out_edges(node)])
    return not separated(left, mediator, outcome, {treatment, *given})
