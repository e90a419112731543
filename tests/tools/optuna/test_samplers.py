"""Samplers and pruners: repeatable, resumable, and grids that try each combination once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, get_args

import optuna
import pytest

from e2i.errors import StepError
from e2i.estimators.space import Choices, FloatRange, IntRange
from e2i.tools.optuna import samplers, search
from e2i.tools.optuna.pruners import Pruner
from e2i.tools.optuna.search import Plan, Sampler

SAMPLERS = [name for name in get_args(Sampler) if name != "gp" or find_spec("torch")]
RANGES = {"x": FloatRange(low=-2.0, high=2.0), "n": IntRange(low=1, high=9)}
STEPS = {
    "x": FloatRange(low=-0.2, high=0.3, step=0.1),
    "n": IntRange(low=1, high=8, step=2),
    "c": Choices(choices=("a", None)),
}


def distance(trial: Any) -> float:
    for step in range(9):
        trial.report(abs(trial.params["x"]) + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(trial.params["x"] ** 2 + trial.params["n"])


def execute(plan: Plan, recorded: Sequence[Any] = (), *, replay: bool = True) -> list[Any]:
    async def record(trials: Sequence[Any]) -> None:
        return

    return asyncio.run(search.run(plan, distance, recorded, record, lambda: False, threads=1, replay=replay))


def essence(trials: Sequence[Any]) -> list[Any]:
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in trials]


@pytest.mark.parametrize("pruner", get_args(Pruner))
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_search_ends_as_an_uninterrupted_one(sampler: Any, pruner: Any) -> None:
    space = STEPS if sampler == "grid" else RANGES
    plan = Plan(space=space, trials=24, directions=("minimize",), sampler=sampler, pruner=pruner, seed=3)
    whole = execute(plan)
    assert essence(execute(plan)) == essence(whole) == essence(execute(plan, whole[:13]))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_that_knows_the_trials_of_others_repeats_none(sampler: Any) -> None:
    space = STEPS if sampler == "grid" else RANGES
    first = execute(Plan(space=space, trials=13, directions=("minimize",), sampler=sampler, seed=3))
    for seed in (3, 4):
        plan = Plan(space=space, trials=24, directions=("minimize",), sampler=sampler, seed=seed)
        both = execute(plan, first, replay=False)
        assert essence(both)[:13] == essence(first)
        assert len({repr(trial.params) for trial in both}) == len(both) == 24


def test_a_grid_ends_when_each_combination_was_tried() -> None:
    plan = Plan(space=STEPS, trials=500, directions=("minimize",), sampler="grid")
    trials = execute(plan)
    assert len(trials) == len({repr(trial.params) for trial in trials}) == 6 * 4 * 2
    assert {trial.params["n"] for trial in trials} == {1, 3, 5, 7}
    assert {round(trial.params["x"], 9) for trial in trials} == {-0.2, -0.1, 0.0, 0.1, 0.2, 0.3}
    assert essence(execute(plan, trials, replay=False)) == essence(trials)


def test_a_grid_needs_a_finite_number_of_combinations() -> None:
    with pytest.raises(StepError, match="'x' is a range of numbers without a step"):
        execute(Plan(space=RANGES, trials=2, directions=("minimize",), sampler="grid"))
    many = {"x": FloatRange(low=0, high=1, step=1e-9), "n": IntRange(low=1, high=9)}
    with pytest.raises(StepError, match="more than 1,000,000 combinations"):
        execute(Plan(space=many, trials=2, directions=("minimize",), sampler="grid"))


def test_trials_of_another_type_of_space_are_refused_before_anything_is_tried() -> None:
    first = execute(Plan(space=RANGES, trials=2, directions=("minimize",)))
    other = {**RANGES, "n": Choices(choices=(1, 9))}
    with pytest.raises(StepError, match="in which 'n' is IntDistribution") as caught:
        samplers.study(Plan(space=other, trials=3, directions=("minimize",)), first)
    assert caught.value.code == "study-changed"
