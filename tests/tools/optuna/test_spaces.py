"""Searches over conditional spaces, with several values, with trials of other studies: with every sampler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, get_args

import optuna
import pytest
from msgspec.structs import replace

from e2i.errors import StepError, ToolUnavailable
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange, ordered
from e2i.tools.optuna import TuneParams, options, samplers, search, warming
from e2i.tools.optuna.pruners import Pruner
from e2i.tools.optuna.search import Plan, Sampler
from e2i.tools.optuna.stopping import Stop

SAMPLERS = [name for name in get_args(Sampler) if name != "gp" or find_spec("torch")]
PRUNERS = [name for name in get_args(Pruner) if name != "none"]
SPACE: dict[str, Dimension] = {
    "depth": IntRange(low=1, high=4, when={"kind": ("tree", "forest")}),
    "rate": FloatRange(low=0.1, high=0.9, step=0.2, when={"depth": (3, 4), "loud": True}),
    "kind": Choices(choices=("tree", "line", "forest")),
    "width": IntRange(low=1, high=16, log=True, when={"kind": "line"}),
}
FIXED = {"loud": True}
PLAN = Plan(space=ordered(SPACE), fixed=FIXED, trials=24, directions=("minimize",), parallel=3, seed=5)


def value(params: dict[str, Any]) -> float:
    return params.get("rate", 0.5) + abs(params.get("depth", 2) - 2) + params.get("width", 3) / 7


def one(trial: Any) -> float:
    for step in range(9):
        trial.report(value(trial.params) + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value(trial.params)


def two(trial: Any) -> tuple[float, float]:
    return one(trial), len(trial.params) + trial.params.get("depth", 0) / 2


def execute(
    plan: Plan,
    objective: Callable[[Any], Any] = one,
    recorded: Sequence[Any] = (),
    *,
    threads: int = 2,
    known: Sequence[Any] = (),
) -> list[Any]:
    async def record(trials: Sequence[Any]) -> None:
        return

    return asyncio.run(search.run(plan, objective, recorded, record, lambda: False, threads=threads, known=known))


def essence(trials: Sequence[Any]) -> list[Any]:
    return [(t.number, t.params, t.values, t.state.name, t.intermediate_values) for t in trials]


def assert_conditions_hold(trials: Sequence[Any]) -> None:
    for trial in trials:
        expected = {"kind"}
        expected |= {"width"} if trial.params["kind"] == "line" else {"depth"}
        expected |= {"rate"} if trial.params.get("depth", 0) >= 3 else set()
        assert set(trial.params) == expected


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_a_conditional_space_repeats_and_resumes(sampler: Any) -> None:
    plan = replace(PLAN, sampler=sampler, trials=20)
    whole = execute(plan)
    assert_conditions_hold(whole)
    assert essence(execute(plan, recorded=whole[:10], threads=1)) == essence(whole)
    if sampler != "cmaes":
        several = replace(plan, directions=("minimize", "maximize"))
        whole = execute(several, two)
        assert essence(execute(several, two, whole[:10], threads=1)) == essence(whole)


def test_a_grid_of_a_conditional_space_has_each_combination_once() -> None:
    trials = execute(replace(PLAN, sampler="grid", trials=500, directions=("minimize", "minimize")), two)
    seen = {tuple(sorted(trial.params.items())) for trial in trials}
    assert len(trials) == len(seen) == 2 * (2 + 2 * 5) + 16
    assert_conditions_hold(trials)


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("objective", [one, two])
def test_what_is_pruned_does_not_depend_on_threads_and_survives_a_kill(pruner: Any, objective: Any) -> None:
    ways: Any = ("minimize",) if objective is one else ("minimize", "minimize")
    plan = replace(PLAN, pruner=pruner, directions=ways, trials=40, parallel=4)
    whole = execute(plan, objective, threads=1)
    assert {"PRUNED", "COMPLETE"} == {trial.state.name for trial in whole}
    assert essence(execute(plan, objective, threads=4)) == essence(whole)
    assert essence(execute(plan, objective, whole[:17], threads=4)) == essence(whole)


def test_successive_halving_compares_a_trial_with_finished_ones_only() -> None:
    """In Optuna, the verdict of the first trial would depend on whether the second one has reported already."""
    first, second = threading.Event(), threading.Event()

    def paced(trial: Any, wait: bool) -> float:
        if trial.number == 20 and wait:
            second.wait(30)
        if trial.number == 21 and not wait:
            first.wait(30)
        try:
            return one(trial)
        finally:
            {20: first, 21: second}.get(trial.number, threading.Event()).set()

    plan = replace(PLAN, pruner="successive_halving", trials=24, parallel=2)
    ahead = execute(plan, lambda trial: paced(trial, wait=False))
    first.clear()
    second.clear()
    assert essence(execute(plan, lambda trial: paced(trial, wait=True))) == essence(ahead)


def test_a_search_stops_at_the_same_trial_on_any_number_of_threads_and_after_a_kill() -> None:
    plan = replace(PLAN, trials=200, stop=Stop(no_improvement=9))
    whole = execute(plan)
    assert 10 < len(whole) < 200
    assert essence(execute(plan, threads=3)) == essence(execute(plan, recorded=whole[:8])) == essence(whole)
    best = min(trial.value for trial in whole)
    reached = execute(replace(plan, stop=Stop(targets=(best,))))
    assert len(reached) <= len(whole) and min(trial.value for trial in reached) == best
    assert essence(reached) == essence(whole)[: len(reached)]


@pytest.mark.parametrize("sampler", search.GUIDED[:3])
def test_a_warm_search_begins_where_another_one_ended_and_repeats(sampler: Any) -> None:
    other = execute(replace(PLAN, trials=30))
    plan = replace(PLAN, sampler=sampler, trials=12, seed=8)
    known = warming.known(other, plan)
    assert len(known) == 30
    warm = execute(plan, known=known)
    assert [trial.number for trial in warm] == list(range(12))
    assert essence(execute(plan, recorded=warm[:5], known=known)) == essence(warm)
    assert essence(warm) != essence(execute(plan))


def test_trials_of_another_space_are_not_known() -> None:
    other = execute(replace(PLAN, trials=30))
    narrow = {**PLAN.space, "kind": Choices(choices=("tree", "line"))}
    assert {t.params["kind"] for t in warming.known(other, replace(PLAN, space=narrow))} == {"tree", "line"}
    wide = {**PLAN.space, "more": IntRange(low=1, high=2)}
    assert warming.known(other, replace(PLAN, space=wide)) == []
    fixed = {name: dimension for name, dimension in PLAN.space.items() if name != "kind"}
    found = warming.known(other, replace(PLAN, space=fixed, fixed={**FIXED, "kind": "line"}))
    assert found and all(set(trial.params) == {"width"} for trial in found)


def test_a_cycle_of_conditions_is_named() -> None:
    loop = {"a": IntRange(low=1, high=2, when={"b": 1}), "b": IntRange(low=1, high=2, when={"a": 1})}
    with pytest.raises(ValueError, match="a → b → a"):
        ordered(loop)


def test_what_a_sampler_cannot_do_is_an_error() -> None:
    with pytest.raises(StepError, match="cmaes searches by one metric"):
        samplers.study(replace(PLAN, sampler="cmaes", directions=("minimize", "minimize")), [])
    if not find_spec("torch"):
        with pytest.raises(ToolUnavailable, match="gp needs the package torch") as caught:
            samplers.study(replace(PLAN, sampler="gp"), [])
        assert "e2i[optuna-gp]" in str(caught.value.hint)
        given = dict.fromkeys(TuneParams.model_fields) | {"sampler": "gp"}
        (warned,) = options.check(given, (), None)
        assert (warned.path, warned.severity) == (("sampler",), "warning")
        assert "needs the package torch" in warned.message and "e2i[optuna-gp]" in str(warned.hint)
