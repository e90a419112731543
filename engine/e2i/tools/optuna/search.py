"""A search space and an objective go in; finished trials come out, the same for the same seed on any machine.

A fixed number of trials is in flight: trial k is proposed once trial k - parallel has been told, and trials are told in
order, so that no proposal depends on which thread was quicker, nor on how many there are. The study lives in memory;
what was recorded of an earlier attempt is replayed into it, so that a search that was interrupted ends exactly as one
that was not.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, assert_never

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange

Objective = Callable[[Any], float]
"""Takes an optuna Trial, returns its value. Raises StepError when the trial fails, optuna.TrialPruned when pruned."""


class Plan(Struct, frozen=True):
    """How to search."""

    space: Mapping[str, Dimension]
    trials: int
    direction: Literal["maximize", "minimize"]
    sampler: Literal["tpe", "random", "qmc"] = "tpe"
    pruner: Literal["none", "median"] = "none"
    parallel: int = 1
    seed: int = 0


class Outcome(Struct, frozen=True):
    """How one trial ended. ``reason`` says why it failed."""

    state: Any
    value: float | None = None
    reason: str | None = None


async def run(
    plan: Plan,
    objective: Objective,
    recorded: Sequence[Any],
    record: Callable[[list[Any]], Awaitable[None]],
    expired: Callable[[], bool],
    *,
    threads: int,
) -> list[Any]:
    """The finished trials (optuna FrozenTrial), at most ``plan.trials``, in order.

    ``recorded`` are the trials of an earlier attempt: they are told, not evaluated. ``record`` is given new ones,
    ``plan.parallel`` at a time. No trial is proposed once ``expired``. Up to ``threads`` trials are evaluated at once;
    the result does not depend on it. Raises StepError when the recorded trials belong to another search.
    """
    study = _study(plan)
    space = {name: distribution(dimension) for name, dimension in plan.space.items()}
    loop = asyncio.get_running_loop()
    flying: deque[tuple[Any, Awaitable[Outcome]]] = deque()
    fresh: list[Any] = []

    async def land(most: int) -> None:
        """Waits for the oldest trials in flight and tells them, until at most so many are left."""
        if not most:
            await asyncio.gather(*(ending for _, ending in flying))
        while len(flying) > most:
            trial, ending = flying.popleft()
            outcome = await ending
            if outcome.reason is not None:
                trial.set_user_attr("reason", outcome.reason)
            study.tell(trial, outcome.value, state=outcome.state)
            if trial.number >= len(recorded):
                fresh.append(study.trials[trial.number])
            if len(fresh) == plan.parallel:
                await record(fresh[:])
                fresh.clear()

    def begin(asked: list[Any]) -> None:
        for trial in asked:
            if trial.number < len(recorded):
                known: asyncio.Future[Outcome] = loop.create_future()
                known.set_result(_replayed(trial, recorded[trial.number]))
                flying.append((trial, known))
            else:
                flying.append((trial, loop.run_in_executor(pool, _evaluate, objective, trial)))
        asked.clear()

    # A pruner compares a trial with those that were told, and what a trial reports may sway a proposal: so with a
    # pruner nothing is told or asked while a trial is evaluated.
    others = plan.parallel - 1 if plan.pruner == "none" else 0
    asked: list[Any] = []
    with ThreadPoolExecutor(min(plan.parallel, threads), thread_name_prefix="trial") as pool:
        for number in range(plan.trials):
            if len(flying) == plan.parallel:
                await land(others)
            if number >= len(recorded) and not asked and expired():
                break
            asked.append(study.ask(space))
            if len(flying) + len(asked) == plan.parallel:
                begin(asked)
        begin(asked)
        await land(0)
    if fresh:
        await record(fresh)
    return [*recorded[: plan.trials], *study.trials[len(recorded) :]]


def distribution(dimension: Dimension) -> Any:
    """Optuna's own form of a hyperparameter's range."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case IntRange(low=low, high=high, step=step, log=log):
            return IntDistribution(low, high, step=step, log=log)
        case FloatRange(low=low, high=high, step=step, log=log):
            return FloatDistribution(low, high, step=step, log=log)
        case Choices(choices=choices):
            return CategoricalDistribution(choices)
        case _:
            assert_never(dimension)


def _study(plan: Plan) -> Any:
    """An empty study in memory. A proposal is spread away from those in flight (the constant liar of TPE)."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    match plan.sampler:
        case "tpe":
            sampler = optuna.samplers.TPESampler(seed=plan.seed, constant_liar=plan.parallel > 1)
        case "random":
            sampler = optuna.samplers.RandomSampler(seed=plan.seed)
        case "qmc":
            sampler = optuna.samplers.QMCSampler(
                seed=plan.seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
        case _:
            assert_never(plan.sampler)
    pruner = optuna.pruners.MedianPruner() if plan.pruner == "median" else optuna.pruners.NopPruner()
    return optuna.create_study(direction=plan.direction, sampler=sampler, pruner=pruner)


def _evaluate(objective: Objective, trial: Any) -> Outcome:
    import optuna
    from optuna.trial import TrialState

    try:
        value = objective(trial)
    except optuna.TrialPruned:
        return Outcome(TrialState.PRUNED)
    except StepError as error:
        return Outcome(TrialState.FAIL, reason=error.message)
    if not math.isfinite(value):
        return Outcome(TrialState.FAIL, reason="the metric is not defined for this trial")
    return Outcome(TrialState.COMPLETE, value)


def _replayed(trial: Any, earlier: Any) -> Outcome:
    """What was recorded of a trial, once the proposal proves to be the same."""
    from optuna.trial import TrialState

    if earlier.state == TrialState.FAIL:
        return Outcome(TrialState.FAIL, reason=earlier.user_attrs["reason"])
    if trial.params != earlier.params:
        raise StepError(
            f"trial {trial.number} of the stored study has other parameters than this search proposes",
            code="study-changed",
            hint="it was changed from outside or made by another version of Optuna; give `study` a new name",
        )
    for index, value in earlier.intermediate_values.items():
        trial.report(value, index)
    return Outcome(earlier.state, earlier.value if earlier.state == TrialState.COMPLETE else None)
