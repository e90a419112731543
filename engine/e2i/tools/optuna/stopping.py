"""Decide when a search has found enough. In: the values of finished trials, in order. Out: the reason to stop."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from e2i.tools.optuna.front import Point, dominates


class Stop(Struct, frozen=True):
    """When to start no more trials. ``targets`` has a value, or None, for each objective; one trial meets them all."""

    no_improvement: int | None = None
    targets: tuple[float | None, ...] = ()


class Progress:
    """The trials that have been reported so far. What it decides depends only on them and on their order."""

    def __init__(self, stop: Stop, directions: Sequence[str]) -> None:
        self._stop = stop
        self._directions = directions
        self._front: list[Point] = []
        self._since = 0
        self._met = False

    def add(self, values: Point | None) -> None:
        """Report a finished trial; None for one that was not completed."""
        self._since += 1
        if values is None:
            return
        cost = self._cost(values)
        if not any(one == cost or dominates(one, cost) for one in self._front):
            self._front = [one for one in self._front if not dominates(cost, one)] + [cost]
            self._since = 0
        self._met = self._met or self._meets(values)

    @property
    def reason(self) -> str | None:
        """Why no more trials are started; None: they are."""
        if self._met:
            return "a trial reached the target"
        if self._stop.no_improvement is not None and self._since >= self._stop.no_improvement:
            return f"{self._since} trials brought no improvement"
        return None

    def _meets(self, values: Point) -> bool:
        wanted = list(zip(values, self._stop.targets, self._directions, strict=False))
        known = [(value, target, way) for value, target, way in wanted if target is not None]
        return bool(known) and all(
            value >= target if way == "maximize" else value <= target for value, target, way in known
        )

    def _cost(self, values: Point) -> Point:
        return tuple(-one if way == "maximize" else one for one, way in zip(values, self._directions, strict=True))
