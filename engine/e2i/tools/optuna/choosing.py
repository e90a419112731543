"""Say what a search is after, and choose its best trial. In: parameters and trials. Out: objectives, one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import metrics
from e2i.estimators.algorithms import Task
from e2i.tools.optuna import front
from e2i.tools.optuna.rules import Choose, Constraint, Direction, Goal, Knee, Stopping, Weights
from e2i.tools.optuna.stopping import Stop


class Goals(Struct, frozen=True):
    """The metrics of a search, in order, and their directions."""

    names: tuple[str, ...]
    directions: tuple[Direction, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of tables of trials that hold the values."""
        return self.names if len(self.names) > 1 else ("value",)

    def stop(self, rule: Stopping | None) -> Stop:
        """Return the rule with its targets in the order of the metrics."""
        if rule is None:
            return Stop()
        target = rule.target
        if target is None or isinstance(target, Mapping):
            wanted: Mapping[Any, float] = target or {}
            return Stop(rule.no_improvement, tuple(wanted.get(name) for name in self.names))
        return Stop(rule.no_improvement, (target,))


def goals(metric: str | None, direction: Direction | None, several: Sequence[Goal] | None, task: Task) -> Goals:
    """Return the metrics of a search. Raises StepError when one belongs to the other task."""
    given = [(metric, direction)] if several is None else [(goal.name, goal.direction) for goal in several]
    names = tuple(metrics.choose(name, task) for name, _ in given)
    ways = [way or metrics.METRICS[name].direction for name, (_, way) in zip(names, given, strict=True)]
    return Goals(names, tuple(ways))


def best(trials: Sequence[Any], sought: Goals, rule: Choose | None, *, hint: str) -> tuple[Any, list[Any]]:
    """Return the chosen trial and the Pareto front, in the order of the trials; with one metric the best trials.

    Raises StepError when no trial was completed, or none meets the bounds of a constraint.
    """
    from e2i.tools.optuna.search import completed

    ended = completed(trials, hint=hint)
    points = [tuple(trial.values) for trial in ended]
    ahead = front.front(points, sought.directions)
    on_front, values = [ended[position] for position in ahead], [points[position] for position in ahead]
    return on_front[_chosen(values, sought, rule)], on_front


def _chosen(values: Sequence[front.Point], sought: Goals, rule: Choose | None) -> int:
    match rule:
        case None | Knee():
            return front.weighted(values, sought.directions, [1.0] * len(sought.names))
        case Weights(weights=weights):
            given: Mapping[Any, float] = weights
            return front.weighted(values, sought.directions, [given.get(name, 0.0) for name in sought.names])
        case Constraint():
            return _constrained(values, sought, rule)
        case _:
            assert_never(rule)


def _constrained(values: Sequence[front.Point], sought: Goals, rule: Constraint) -> int:
    least: Mapping[Any, float] = rule.at_least
    most: Mapping[Any, float] = rule.at_most
    able = [place for place, point in enumerate(values) if front.within(point, sought.names, least, most)]
    position = sought.names.index(rule.best)
    if able:
        return able[front.best_by([values[place] for place in able], position, sought.directions[position])]
    wanted = [*(f"{name} ≥ {bound:g}" for name, bound in least.items())]
    wanted += [f"{name} ≤ {bound:g}" for name, bound in most.items()]
    spans = (
        f"{name} {min(column):.6g} to {max(column):.6g}"
        for name, column in zip(sought.names, zip(*values, strict=True), strict=True)
    )
    raise StepError(
        f"none of the {len(values)} trials of the Pareto front meets {' and '.join(wanted)}; it has {', '.join(spans)}",
        code="no-trial-in-bounds",
        hint="loosen the bounds in `choose`, or raise `trials`",
    )
