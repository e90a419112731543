"""Find the Pareto front of trials and choose one of it. In: values of trials. Out: positions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Point = tuple[float, ...]
"""Values of one trial, one for each objective."""


def front(points: Sequence[Point], directions: Sequence[str]) -> list[int]:
    """Return the positions of the points that no other one dominates, in order; equal points are all in it.

    A point dominates another one if it is nowhere worse and somewhere better.
    """
    costs = [_cost(point, directions) for point in points]
    found: list[int] = []
    for position in sorted(range(len(costs)), key=lambda position: costs[position]):
        # Whatever dominates a point comes before it in this order, and what is dominated itself is not needed.
        if not any(dominates(costs[other], costs[position]) for other in found):
            found.append(position)
    return sorted(found)


def dominates(cost: Point, other: Point) -> bool:
    """Return True when the first of two costs is nowhere greater and somewhere less."""
    return cost != other and all(one <= two for one, two in zip(cost, other, strict=True))


def best_by(points: Sequence[Point], position: int, direction: str) -> int:
    """Return the position of the best point by one objective, the first of equals."""
    sign = -1.0 if direction == "maximize" else 1.0
    return min(range(len(points)), key=lambda index: sign * points[index][position])


def weighted(points: Sequence[Point], directions: Sequence[str], weights: Sequence[float]) -> int:
    """Return the position of the point with the largest weighted sum of scores, the first of equals.

    The score of an objective is 0 at its worst value among the points, 1 at its best, so units do not matter. With
    equal weights it is the knee of a front: the point farthest from the plane through its ends (Das 1999).
    """
    columns = list(zip(*(_cost(point, directions) for point in points), strict=True))
    ends = [(min(column), max(column)) for column in columns]

    def score(position: int) -> float:
        parts = zip(weights, ends, (column[position] for column in columns), strict=True)
        return sum(
            weight * ((high - cost) / (high - low) if high > low else 1.0) for weight, (low, high), cost in parts
        )

    return max(range(len(points)), key=score)


def within(point: Point, names: Sequence[str], at_least: Mapping[str, float], at_most: Mapping[str, float]) -> bool:
    """Return True when a point meets each bound; bounds are by the names of the objectives."""
    values = dict(zip(names, point, strict=True))
    return all(values[name] >= bound for name, bound in at_least.items()) and all(
        values[name] <= bound for name, bound in at_most.items()
    )


def _cost(point: Point, directions: Sequence[str]) -> Point:
    return tuple(
        -value if direction == "maximize" else value for value, direction in zip(point, directions, strict=True)
    )
