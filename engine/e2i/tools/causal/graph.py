"""Ask a causal graph what to adjust for. In: arrows between columns. Out: criteria, and the paths that decide them.

Criteria as in Pearl 2009, "Causality", chapter 3: back-door (definition 3.3.1); instruments as in section 7.4.
The front door is in ``front_door``. networkx is imported when a graph is read, not before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import networkx as nx

ARROW = re.compile(r"\s*(<->|->|<-)\s*")
COMMON = "unmeasured cause of "
"""How the node of ``a <-> b`` begins."""
LONGEST = 12
"""Most arrows of a path that is searched for; longer ones are said to exist without being named."""
MOST_STEPS = 20_000
"""Most arrows that are followed in search of a path to name: a graph of layers has more paths than can be tried."""


class GraphError(ValueError):
    """Arrows that are no graph. ``index`` is the number of the line, None for all of them."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class Graph(Struct, frozen=True, eq=False):
    """A directed graph without cycles. ``unmeasured`` are nodes that cannot be adjusted for."""

    arrows: nx.DiGraph[str]
    unmeasured: frozenset[str]

    def after(self, node: str) -> frozenset[str]:
        """Return all that a node can change."""
        import networkx as nx

        return frozenset(nx.descendants(self.arrows, node))

    def before(self, node: str) -> frozenset[str]:
        """Return all that can change a node."""
        import networkx as nx

        return frozenset(nx.ancestors(self.arrows, node))

    def without_effects_of(self, node: str) -> nx.DiGraph[str]:
        """Return the arrows without those that leave a node: what is left between it and others is no effect of it."""
        left = self.arrows.copy()
        left.remove_edges_from(list(self.arrows.out_edges(node)))
        return left


def read(lines: Sequence[str], unmeasured: Iterable[str] = ()) -> Graph:
    """Return the graph of lines such as ``a -> b -> c`` or ``a <-> b``, an unmeasured cause of both.

    Raises GraphError for a line that is no chain of arrows, and for a cycle, which is named.
    """
    import networkx as nx

    arrows: nx.DiGraph[str] = nx.DiGraph()
    latent = set(unmeasured)
    for index, line in enumerate(lines):
        for one, arrow, other in _arrows(line, index):
            if one == other:
                raise GraphError(f'"{one}" is its own cause', index)
            if arrow == "<->":
                cause = f"{COMMON}{min(one, other)} and {max(one, other)}"
                latent.add(cause)
                arrows.add_edges_from([(cause, one), (cause, other)])
            else:
                arrows.add_edge(*((one, other) if arrow == "->" else (other, one)))
            if not nx.is_directed_acyclic_graph(arrows):
                cycle = [tail for tail, _ in nx.find_cycle(arrows)]
                start = cycle.index(min(cycle))
                named = " -> ".join([*cycle[start:], *cycle[:start], cycle[start]])
                raise GraphError(f"the arrows go round: {named}", index)
    return Graph(arrows, frozenset(latent))


def _arrows(line: str, index: int) -> Iterator[tuple[str, str, str]]:
    parts = ARROW.split(line.strip())
    if len(parts) < 3 or not all(parts):
        raise GraphError(f'"{line}" is no chain of arrows, such as "age -> treatment -> outcome"', index)
    for at in range(0, len(parts) - 2, 2):
        yield parts[at], parts[at + 1], parts[at + 2]


def is_back_door(graph: Graph, treatment: str, outcome: str, adjusted: Iterable[str]) -> bool:
    """Return whether adjusting for these columns leaves nothing but the effect of the treatment."""

    chosen = set(adjusted)
    if chosen & (graph.after(treatment) | {treatment, outcome}):
        return False
    return separated(graph.without_effects_of(treatment), treatment, outcome, chosen)


def back_door(graph: Graph, treatment: str, outcome: str, adjusted: Iterable[str] = ()) -> tuple[str, ...] | None:
    """Return a smallest set of measured columns to adjust for, with those that are adjusted for anyhow; None without.

    Smallest: no column can be left out of it, but those that are given.
    """
    import networkx as nx

    fixed = set(adjusted)
    left = graph.without_effects_of(treatment)
    allowed = set(graph.arrows) - graph.after(treatment) - graph.unmeasured - {treatment, outcome}
    if not fixed <= allowed:
        return None
    found = nx.find_minimal_d_separator(left, treatment, outcome, included=fixed, restricted=allowed)
    return None if found is None else tuple(sorted(found))


def instruments(graph: Graph, treatment: str, outcome: str, adjusted: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the measured columns that change the treatment, and the outcome in no other way than through it."""

    given = set(adjusted) - graph.after(treatment)
    left = graph.without_effects_of(treatment)
    candidates = sorted(set(graph.arrows) - graph.unmeasured - graph.after(treatment) - given - {treatment, outcome})
    return tuple(
        node
        for node in candidates
        if not separated(graph.arrows, node, treatment, given) and separated(left, node, outcome, given)
    )


def separated(
    arrows: nx.DiGraph[str], ones: str | Iterable[str], others: str | Iterable[str], given: Iterable[str]
) -> bool:
    """Return whether no path is open between nodes, given others: d-separation.

    As in Shachter 1998, "Bayes-ball". networkx's own function visits a node once for each path to it.
    """
    import networkx as nx

    closed = set(given)
    opened = closed.union(*(nx.ancestors(arrows, node) for node in closed))
    goals = {others} if isinstance(others, str) else set(others)
    todo = [(node, True) for node in ([ones] if isinstance(ones, str) else ones)]  # True: against the arrow
    seen: set[tuple[str, bool]] = set()
    while todo:
        node, upwards = todo.pop()
        if (node, upwards) in seen:
            continue
        seen.add((node, upwards))
        if node in goals and node not in closed:
            return False
        if node not in closed:
            todo += [(after, False) for after in arrows.successors(node)]
        if (node not in closed) if upwards else (node in opened):
            todo += [(before, True) for before in arrows.predecessors(node)]
    return True


def open_path(
    graph: Graph,
    treatment: str,
    outcome: str,
    adjusted: Iterable[str],
    *,
    outwards: bool = False,
    effects: bool = False,
    closable: Iterable[str] = (),
) -> str | None:
    """Return a shortest path that is open and not an effect of the treatment, such as ``t <- age -> y``; None without.

    ``outwards``: one that begins with something that the treatment changes. ``effects``: also one of effects alone.
    ``closable``: one that adjusting for these columns too would not close.

    A path is closed by an adjusted column on it, but opened by one at which two arrows meet, or that such a column
    changes.
    """
    given = frozenset(adjusted)
    opened = given.union(*(graph.before(node) for node in given)) if given else given
    left = iter(range(MOST_STEPS))
    for longest in range(1, LONGEST + 1):
        for path in _paths(graph, [treatment], outcome, given.union(closable), opened, longest, left):
            if outwards and not graph.arrows.has_edge(path[0], path[1]):
                continue
            if effects or not all(graph.arrows.has_edge(*pair) for pair in pairwise(path)):
                return shown(graph, path)
    return None


def _paths(
    graph: Graph,
    path: list[str],
    goal: str,
    given: frozenset[str],
    opened: frozenset[str],
    longest: int,
    left: Iterator[int],
) -> Iterator[list[str]]:
    """Yield the open paths of a length, by name. ``left`` has a number for each arrow that may yet be followed."""
    last = path[-1]
    if next(left, None) is None:
        return
    if last == goal:
        if len(path) - 1 == longest:
            yield path
        return
    if len(path) > longest:
        return
    for node in sorted({*graph.arrows.successors(last), *graph.arrows.predecessors(last)}):
        if node in path or (len(path) > 1 and not _open(graph, path[-2], last, node, given, opened)):
            continue
        yield from _paths(graph, [*path, node], goal, given, opened, longest, left)


def _open(graph: Graph, one: str, node: str, other: str, given: frozenset[str], opened: frozenset[str]) -> bool:
    meets = graph.arrows.has_edge(one, node) and graph.arrows.has_edge(other, node)
    return node in opened if meets else node not in given


def shown(graph: Graph, path: Sequence[str]) -> str:
    """Return a path with its arrows; ``<->`` for an unmeasured cause of two neighbours."""
    steps = [path[0]]
    for one, other in pairwise(path):
        if one.startswith(COMMON):
            steps += ["<->", other]
        elif not other.startswith(COMMON) or other == path[-1]:
            steps += ["->" if graph.arrows.has_edge(one, other) else "<-", other]
    return " ".join(steps)


def effect_path(graph: Graph, treatment: str, through: str, outcome: str) -> str:
    """Return a shortest path of the effect through a column."""
    import networkx as nx

    first = nx.shortest_path(graph.arrows, treatment, through)
    return shown(graph, [*first, *nx.shortest_path(graph.arrows, through, outcome)[1:]])
