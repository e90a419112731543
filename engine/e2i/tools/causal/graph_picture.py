"""Draw a causal graph, causes at the left of what they change. In: a graph. Out: a PNG as a data address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.tools.causal import EstimateParams, pictures
from e2i.tools.causal.graph import Graph

if TYPE_CHECKING:
    Places = dict[str, tuple[float, float]]


def draw(graph: Graph, params: EstimateParams) -> str:
    """Return the picture. Equal graphs give equal pictures."""
    figure, (axes,) = pictures.start(1)
    places = _places(graph)
    width = 1 + max(x for x, _ in places.values())
    figure.set_size_inches(min(2.4 * width + 1, 16), min(1 + 0.9 * max(_heights(places)), 10))
    adjusted = {*params.effect_modifiers, *params.confounders}
    for one, other in sorted(graph.arrows.edges):
        style = "--" if one in graph.unmeasured else "-"
        bent = 0.25 if abs(places[one][0] - places[other][0]) > 1 else 0.0
        axes.annotate(
            "",
            places[other],
            places[one],
            arrowprops={
                "arrowstyle": "->",
                "linestyle": style,
                "color": pictures.GREY,
                "shrinkA": 18,
                "shrinkB": 18,
                "connectionstyle": f"arc3,rad={bent}",
            },
        )
    for node, (x, y) in sorted(places.items()):
        color = pictures.ORANGE if node in (params.treatment, params.outcome) else "#222222"
        color = pictures.BLUE if node in adjusted else color
        text = "unmeasured" if node.startswith("unmeasured cause of ") else node[:28]
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": color}
        if node in graph.unmeasured:
            box["linestyle"] = "--"
        axes.text(x, y, text, ha="center", va="center", color=color, bbox=box)
    axes.set_xlim(-0.6, width - 0.4)
    axes.set_ylim(-0.6, max(_heights(places)) - 0.4)
    axes.axis("off")
    return pictures.address(figure)


def _places(graph: Graph) -> Places:
    """Return a place for each node: its generation to the right, its name upwards."""
    import networkx as nx

    found: Places = {}
    layers: list[Any] = [sorted(layer) for layer in nx.topological_generations(graph.arrows)]
    highest = max(map(len, layers))
    for x, layer in enumerate(layers):
        start = (highest - len(layer)) / 2
        for y, node in enumerate(layer):
            found[node] = (float(x), start + y)
    return found


def _heights(places: Places) -> list[float]:
    return [y + 1 for _, y in places.values()]
