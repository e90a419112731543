"""Draw the causal graphs of a plan's questions. In: a plan. Out: for each graph its lines as text, and an SVG picture.

A step has a causal graph when its action's parameters have ``graph``, ``treatment`` and ``outcome``. Values that only
the run knows leave its graph out, as do lines that are no graph, which are problems of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from e2i.planning.model import Plan, PlanStep
from e2i.report import layout

LETTER = 7.4
WIDEST = 220.0
ROOM = 1060.0
PENDING = "${{"


class Node(Struct, frozen=True):
    """A column or unmeasured cause. ``part``: treatment, outcome, adjusted, unmeasured or other."""

    name: str
    shown: str
    part: str


class Drawn(Struct, frozen=True):
    """The graph of one step: nodes before what they change, with their arrows, and what is adjusted for."""

    step: str
    nodes: tuple[Node, ...]
    arrows: tuple[tuple[str, str], ...]
    adjusted: tuple[str, ...]
    derived: bool
    """What is adjusted for follows from the graph."""

    @property
    def lines(self) -> list[str]:
        """Return one line for each node that changes others, and one of what is adjusted for."""
        shown = {node.name: node.shown for node in self.nodes}
        targets: dict[str, list[str]] = {}
        for one, other in self.arrows:
            targets.setdefault(one, []).append(shown[other])
        found = [
            f"{shown[node.name]} -> {', '.join(targets[node.name])}" for node in self.nodes if node.name in targets
        ]
        how = " (back-door criterion)" if self.derived else ""
        return [*found, f"adjusted for: {', '.join(self.adjusted) or 'nothing'}{how}"]

    @property
    def svg(self) -> str:
        """Return a picture for light and dark backgrounds; empty for more nodes than are drawn."""
        if len(self.nodes) > layout.MOST_DRAWN:
            return ""
        from e2i.report.page import environment  # its libraries are not needed for the lines

        width = min(max(len(node.shown) for node in self.nodes) * LETTER + 30, WIDEST)
        needs = {node.name: [one for one, other in self.arrows if other == node.name] for node in self.nodes}
        drawing = layout.draw(needs, width, ROOM, implied=True)
        return (
            environment()
            .get_template("causal_graph.svg.j2")
            .render(graph=self, drawing=drawing, box_height=layout.HEIGHT, letters=int((width - 22) / LETTER))
        )


def of(plan: Plan) -> tuple[Drawn, ...]:
    """Returns the causal graphs of a plan, in the order of its steps."""
    return tuple(drawn for step in plan.steps for drawn in _of(step))


def _of(step: PlanStep) -> Iterator[Drawn]:
    params = step.components.inputs.params
    lines = params.get("graph") if isinstance(params, dict) else None
    if not isinstance(lines, list | tuple) or not lines or PENDING in str(params["graph"]):
        return
    names = [str(params.get(name, "")) for name in ("treatment", "outcome")]
    lists = [params.get(name) or [] for name in ("effect_modifiers", "confounders", "unmeasured")]
    if PENDING in str([names, lists]) or not all(isinstance(one, list | tuple) for one in lists):
        return
    yield from _drawn(step.id, [str(line) for line in lines], names, [[str(name) for name in one] for one in lists])


def _drawn(step: str, lines: list[str], names: list[str], lists: list[list[str]]) -> Iterator[Drawn]:
    import networkx as nx

    from e2i.tools.causal import graph as graphs  # networkx is not needed for a plan without a graph

    (treatment, outcome), (modifiers, confounders, unmeasured) = names, lists
    try:
        graph = graphs.read(lines, unmeasured)
    except graphs.GraphError:
        return
    if not {treatment, outcome} <= set(graph.arrows):
        return
    derived = not confounders
    adjusted = [*modifiers, *(confounders or graphs.back_door(graph, treatment, outcome, modifiers) or ())]
    parts = {treatment: "treatment", outcome: "outcome", **dict.fromkeys(graph.unmeasured, "unmeasured")}
    parts |= {name: "adjusted" for name in adjusted if name not in parts}
    nodes = tuple(
        Node(name, "(unmeasured)" if name.startswith(graphs.COMMON) else name, parts.get(name, "other"))
        for name in nx.lexicographical_topological_sort(graph.arrows)
    )
    yield Drawn(step, nodes, tuple(sorted(graph.arrows.edges)), tuple(dict.fromkeys(adjusted)), derived)
