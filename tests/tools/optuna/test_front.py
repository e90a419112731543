"""Pareto fronts and the rules that choose of them, against brute force."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from e2i.errors import StepError
from e2i.tools.optuna import choosing, front
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.rules import Constraint, Knee, Stopping, Weights
from e2i.tools.optuna.stopping import Progress, Stop

UP, DOWN = "maximize", "minimize"
BY_TWO = Goals(("roc_auc", "brier"), ("maximize", "minimize"))


def brute(points: list[tuple[float, ...]], directions: tuple[str, ...]) -> list[int]:
    def beats(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
        pairs = [(a, b) if way == UP else (-a, -b) for a, b, way in zip(one, two, directions, strict=True)]
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    return [at for at, point in enumerate(points) if not any(beats(other, point) for other in points)]


@pytest.mark.parametrize("directions", [(UP,), (DOWN, UP), (UP, UP, DOWN), (DOWN,) * 4])
def test_the_front_equals_brute_force(directions: tuple[str, ...]) -> None:
    for seed in range(40):
        r = random.Random(seed)
        points = [tuple(float(r.randrange(6)) for _ in directions) for _ in range(r.randrange(1, 60))]
        assert front.front(points, directions) == brute(points, directions)


def trials(*values: tuple[float, float]) -> list[Any]:
    complete = SimpleNamespace(name="COMPLETE")
    return [SimpleNamespace(number=n, state=complete, values=list(v), user_attrs={}) for n, v in enumerate(values)]


FOUND = trials((0.90, 0.30), (0.60, 0.10), (0.85, 0.15), (0.55, 0.20), (0.70, 0.11))


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        (None, 2),
        (Knee(rule="knee"), 2),
        (Weights(rule="weights", weights={"roc_auc": 1}), 0),
        (Weights(rule="weights", weights={"brier": 2}), 1),
        (Weights(rule="weights", weights={"roc_auc": 1, "brier": 5}), 4),
        (Constraint(rule="constraint", best="roc_auc", at_least={}, at_most={"brier": 0.12}), 4),
        (Constraint(rule="constraint", best="brier", at_least={"roc_auc": 0.8}, at_most={}), 2),
    ],
)
def test_rules_choose_of_the_front(rule: Any, number: int) -> None:
    best, ahead = choosing.best(FOUND, BY_TWO, rule, hint="")
    assert ([trial.number for trial in ahead], best.number) == ([0, 1, 2, 4], number)


def test_units_do_not_matter_to_the_knee() -> None:
    scaled = trials(*((trial.values[0] * 1e6, trial.values[1] * 1e-3 - 5) for trial in FOUND))
    assert choosing.best(scaled, BY_TWO, None, hint="")[0].number == 2


def test_bounds_that_no_trial_meets_are_an_error_with_the_ranges() -> None:
    rule = Constraint(rule="constraint", best="brier", at_least={"roc_auc": 0.95}, at_most={"brier": 0.2})
    with pytest.raises(StepError, match=r"none of the 4 .* roc_auc ≥ 0.95 and brier ≤ 0.2; .* roc_auc 0.6 to 0.9") as e:
        choosing.best(FOUND, BY_TWO, rule, hint="")
    assert e.value.code == "no-trial-in-bounds"


def test_a_search_stops_after_trials_without_improvement_and_at_its_target() -> None:
    patient = Progress(Stop(no_improvement=2), (UP,))
    reasons = []
    for value in (0.5, 0.4, 0.6, None, 0.6):
        patient.add(None if value is None else (value,))
        reasons.append(patient.reason)
    assert reasons == [None, None, None, None, "2 trials brought no improvement"]
    rule = Stopping(target={"roc_auc": 0.8, "brier": 0.2})
    both = Progress(BY_TWO.stop(rule), BY_TWO.directions)
    both.add((0.9, 0.3))
    both.add((0.7, 0.1))
    assert both.reason is None
    both.add((0.8, 0.2))
    assert both.reason == "a trial reached the target"


def test_with_several_metrics_entering_the_front_is_an_improvement() -> None:
    progress = Progress(Stop(no_improvement=1), (UP, DOWN))
    for values in ((0.5, 0.5), (0.4, 0.4), (0.6, 0.6)):
        progress.add(values)
        assert progress.reason is None
    progress.add((0.5, 0.5))  # equal to one on the front
    assert progress.reason
