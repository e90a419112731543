"""The search on its own, with an objective that costs nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from e2i.estimators.space import FloatRange, IntRange
from e2i.tools.optuna import search
from e2i.tools.optuna.search import Plan

SPACE = {
    "x": FloatRange.model_validate({"type": "float", "low": -2.0, "high": 2.0}),
    "n": IntRange.model_validate({"type": "int", "low": 1, "high": 9}),
}
PLAN = Plan(space=SPACE, trials=24, directions=("minimize",), parallel=4, seed=3)


def distance(trial: Any) -> float:
    """Reports on the way, so that a pruner has something to look at."""
    import optuna

    for step in range(3):
        trial.report(abs(trial.params["x"]) + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(trial.params["x"] ** 2 + trial.params["n"])


def execute(
    plan: Plan,
    objective: Callable[[Any], float] = distance,
    recorded: Sequence[Any] = (),
    *,
    threads: int = 2,
    expired: Callable[[], bool] = lambda: False,
) -> tuple[list[Any], list[list[int]]]:
    """The trials, and the numbers of those that were recorded together."""
    batches: list[list[int]] = []

    async def record(trials: list[Any]) -> None:
        batches.append([trial.number for trial in trials])

    found = asyncio.run(search.run(plan, objective, recorded, record, expired, threads=threads))
    return found, batches


def essence(trials: Sequence[Any]) -> list[Any]:
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in trials]


@pytest.mark.parametrize("pruner", ["none", "median"])
@pytest.mark.parametrize("threads", [1, 3, 64])
def test_the_trials_do_not_depend_on_how_many_threads_there_are(pruner: Any, threads: int) -> None:
    plan = replace(PLAN, pruner=pruner)
    assert essence(execute(plan, threads=threads)[0]) == essence(execute(plan, threads=2)[0])


def test_the_trials_do_not_depend_on_which_thread_is_quicker() -> None:
    later = threading.Event()

    def slow_start(trial: Any) -> float:
        """The first trial ends only after the fourth."""
        if trial.number == 0:
            assert later.wait(30)
        if trial.number == 3:
            later.set()
        return distance(trial)

    assert essence(execute(PLAN, slow_start, threads=4)[0]) == essence(execute(PLAN)[0])


def test_a_proposal_depends_on_how_many_are_in_flight() -> None:
    assert essence(execute(PLAN)[0]) != essence(execute(replace(PLAN, parallel=2))[0])


@pytest.mark.parametrize("kept", [0, 1, 4, 7, 23, 24])
@pytest.mark.parametrize("pruner", ["none", "median"])
def test_a_search_that_was_interrupted_ends_as_one_that_was_not(kept: int, pruner: Any) -> None:
    plan = replace(PLAN, pruner=pruner)
    whole, _ = execute(plan)
    evaluated: list[int] = []

    def noting(trial: Any) -> float:
        evaluated.append(trial.number)
        return distance(trial)

    resumed, batches = execute(plan, noting, whole[:kept])
    assert essence(resumed) == essence(whole)
    assert sorted(evaluated) == list(range(kept, plan.trials)) == [number for batch in batches for number in batch]


def test_finished_trials_are_recorded_in_order_and_together() -> None:
    _, batches = execute(replace(PLAN, trials=10))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_trial_is_begun_once_the_time_is_up() -> None:
    begun: list[int] = []

    def noting(trial: Any) -> float:
        begun.append(trial.number)
        return distance(trial)

    found, batches = execute(PLAN, noting, expired=lambda: len(begun) >= 2, threads=1)
    assert [trial.number for trial in found] == sorted(begun) == [number for batch in batches for number in batch]
    assert 2 <= len(found) < PLAN.trials
