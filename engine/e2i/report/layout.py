"""Lay out an acyclic graph in layers.

In: nodes and edges. Out: a position for each node, a path for each edge. A small version of Sugiyama's method: layers
by longest path, order within a layer by barycentres, then coordinates. Pure and deterministic. Lengths are CSS pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec import Struct, field

HEIGHT = 44
MARGIN = 6
BETWEEN = 22
"""Gap between neighbours in one layer."""
LAYERS = 28
"""Gap between layers that are drawn from top to bottom."""
SIDEWAYS = 46
"""Gap between layers that are drawn from left to right."""
BEND = 14
"""Space across for an edge that passes through a layer."""
SWEEPS = 12
MOST_DRAWN = 1_000
"""Maximum number of drawn nodes: the time of the layout grows with their square."""


class Drawing(Struct, frozen=True):
    """``positions``: the upper left corner of each node. ``paths``: SVG path data for each drawn edge."""

    width: float
    height: float
    node_width: float
    positions: Mapping[str, tuple[float, float]]
    paths: Mapping[tuple[str, str], str]


class _Point(Struct):
    """A node, or (``name`` is None) the point where an edge passes through a layer. ``at`` is its centre, across."""

    size: float
    name: str | None = None
    at: float = 0.0
    upstream: list[_Point] = field(default_factory=list)
    downstream: list[_Point] = field(default_factory=list)


def draw(needs: Mapping[str, Sequence[str]], node_width: float, space: float, *, implied: bool = False) -> Drawing:
    """Returns the drawing of a graph. ``needs`` has the dependencies of each node, in topological order.

    Layers are drawn from left to right if that fits into ``space``, else from top to bottom. Edges that others imply
    are drawn only if ``implied``.
    """
    edges = {name: list(upstream) for name, upstream in needs.items()} if implied else essential(needs)
    layers = _layers(edges)
    depth = len(layers)
    sideways = 2 * MARGIN + depth * node_width + (depth - 1) * SIDEWAYS <= space
    rows, chains = _rows(edges, layers, HEIGHT if sideways else node_width)
    _order(rows)
    _spread(rows)
    across = max((point.at + point.size / 2 for row in rows for point in row), default=0.0)
    along = node_width if sideways else HEIGHT
    apart = along + (SIDEWAYS if sideways else LAYERS)
    positions = {
        point.name: _flip(sideways, point.at - point.size / 2 + MARGIN, layer * apart + MARGIN)
        for layer, row in enumerate(rows)
        for point in row
        if point.name is not None
    }
    ranks = {name: layer for layer, names in enumerate(layers) for name in names}
    paths = {}
    for edge, chain in chains.items():
        stations = [(point.at + MARGIN, layer * apart + MARGIN) for layer, point in enumerate(chain, ranks[edge[0]])]
        paths[edge] = _path(stations, along, sideways)
    width, height = _flip(sideways, across + 2 * MARGIN, max(depth * apart - (apart - along), 0) + 2 * MARGIN)
    return Drawing(width, height, node_width, positions, paths)


def essential(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Returns the same order with the fewest edges (the transitive reduction): no edge that others imply."""
    ancestors: dict[str, set[str]] = {}
    for name, upstream in needs.items():
        ancestors[name] = {*upstream}.union(*(ancestors[other] for other in upstream))
    return {
        name: [
            one
            for one in dict.fromkeys(upstream)
            if not any(one in ancestors[other] for other in upstream if other != one)
        ]
        for name, upstream in needs.items()
    }


def _layers(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Puts each node one layer after its last dependency; one without dependencies just before its first dependent."""
    rank: dict[str, int] = {}
    for name, upstream in edges.items():
        rank[name] = max((rank[other] + 1 for other in upstream), default=0)
    for name, upstream in edges.items():
        downstream = [rank[other] for other, others in edges.items() if name in others] if not upstream else []
        rank[name] = min(downstream) - 1 if downstream else rank[name]
    layers: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name in edges:
        layers[rank[name]].append(name)
    return layers


def _rows(
    edges: Mapping[str, Sequence[str]], layers: Sequence[Sequence[str]], size: float
) -> tuple[list[list[_Point]], dict[tuple[str, str], list[_Point]]]:
    """Returns the points of every layer, and for each edge the points that it passes."""
    nodes = {name: _Point(size, name) for names in layers for name in names}
    rank = {name: layer for layer, names in enumerate(layers) for name in names}
    rows = [[nodes[name] for name in names] for names in layers]
    chains: dict[tuple[str, str], list[_Point]] = {}
    for name, upstream in edges.items():
        for other in upstream:
            passed = [_Point(BEND) for _ in range(rank[other] + 1, rank[name])]
            for layer, point in enumerate(passed, start=rank[other] + 1):
                rows[layer].append(point)
            chain = [nodes[other], *passed, nodes[name]]
            for one, two in pairwise(chain):
                one.downstream.append(two)
                two.upstream.append(one)
            chains[other, name] = chain
    return rows, chains


def _order(rows: list[list[_Point]]) -> None:
    """Sorts every layer by the mean position of its neighbours, down and up in turn, so that few edges cross."""
    position = {id(point): float(index) for row in rows for index, point in enumerate(row)}
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            keys = {}
            for point in row:
                near = point.upstream if downwards else point.downstream
                own = position[id(point)]
                keys[id(point)] = sum(position[id(other)] for other in near) / len(near) if near else own
            row.sort(key=lambda point: keys[id(point)])
            position.update((id(point), float(index)) for index, point in enumerate(row))


def _spread(rows: list[list[_Point]]) -> None:
    """Sets the position of every point across, as near to its neighbours as the other points of its layer allow."""
    for row in rows:
        _arrange(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for point in row:
                near = (
                    [*point.upstream, *point.downstream]
                    if sweep >= SWEEPS
                    else point.upstream
                    if sweep % 2 == 0
                    else point.downstream
                )
                wanted.append(sum(other.at for other in near) / len(near) if near else point.at)
            _arrange(row, wanted)
    least = min((point.at - point.size / 2 for row in rows for point in row), default=0.0)
    for row in rows:
        for point in row:
            point.at -= least


def _arrange(row: Sequence[_Point], wanted: Sequence[float]) -> None:
    """Moves the points of a layer to their wanted positions, in order and without overlaps.

    Neighbours that would overlap form a block, which settles at the mean of the wanted positions.
    """
    blocks: list[tuple[list[int], float]] = []  # the points, and the wanted position of the first
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.size + right.size) / 2 + BETWEEN)
    for index in range(len(row)):
        members, start = [index], wanted[index] - offsets[index]
        while blocks and blocks[-1][1] > start:
            earlier, before = blocks.pop()
            start = (before * len(earlier) + start * len(members)) / (len(earlier) + len(members))
            members = earlier + members
        blocks.append((members, start))
    for members, start in blocks:
        for index in members:
            row[index].at = start + offsets[index]


def _path(points: Sequence[tuple[float, float]], along: float, sideways: bool) -> str:
    """Returns a path from the end of the first node to the start of the last, straight through the points between."""
    stops = [(points[0][0], points[0][1] + along)]
    for across, start in points[1:-1]:
        stops += [(across, start), (across, start + along)]
    stops.append(points[-1])
    text = "M{:.1f} {:.1f}".format(*_flip(sideways, *stops[0]))
    for (x, y), (to_x, to_y) in pairwise(stops):
        half = (y + to_y) / 2
        curve = (_flip(sideways, x, half), _flip(sideways, to_x, half), _flip(sideways, to_x, to_y))
        text += " C" + ", ".join("{:.1f} {:.1f}".format(*point) for point in curve)
    return text


def _flip(sideways: bool, across: float, along: float) -> tuple[float, float]:
    """Returns (x, y) of a point from its coordinates across and along the direction of the edges."""
    return (along, across) if sideways else (across, along)
