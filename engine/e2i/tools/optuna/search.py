"""A search space and an objective go in; finished trials come out, the same for the same seed on any machine.

Trials are proposed in batches, evaluated side by side and told in order, so that no proposal depends on which thread
was quicker. The study lives in memory; what was recorded of an earlier attempt is replayed into it, so that a search
that was interrupted ends exactly as one that was not.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from e2i.errors import StepError
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange

Objective = Callable[[Any], float]
"""Takes an optuna Trial, returns its value. Raises StepError when the trial fails, optuna.TrialPruned when pruned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search."""

    space: Mapping[str, Dimension]
    trials: int
    direction: Literal["maximize", "minimize"]
    sampler: Literal["tpe", "random", "qmc"] = "tpe"
    pruner: Literal["none", "median"] = "none"
    parallel: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
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
) -> list[Any]:
    """The finished trials (optuna FrozenTrial), at most ``plan.trials``, in order.

    ``recorded`` are the trials of an earlier attempt: they are told, not evaluated. ``record`` is given each batch of
    new ones. No batch is begun once ``expired``. Raises StepError when the recorded trials belong to another search.
    """
    study = _study(plan)
    space = {name: distribution(dimension) for name, dimension in plan.space.items()}
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(plan.parallel, thread_name_prefix="trial") as pool:
        for first in range(0, plan.trials, plan.parallel):
            if first >= len(recorded) and expired():
                break
            asked = [study.ask(space) for _ in range(min(plan.parallel, plan.trials - first))]
            known = [_replayed(trial, recorded[trial.number]) for trial in asked if trial.number < len(recorded)]
            fresh = asked[len(known) :]
            found = await asyncio.gather(*(loop.run_in_executor(pool, _evaluate, objective, trial) for trial in fresh))
            for trial, outcome in zip(asked, [*known, *found], strict=True):
                if outcome.reason is not None:
                    trial.set_user_attr("reason", outcome.reason)
                study.tell(trial, outcome.value, state=outcome.state)
            if fresh:
                await record([study.trials[trial.number] for trial in fresh])
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
    """An empty study in memory. One proposal of a batch is spread away from the others (the constant liar of TPE)."""
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
        return Outcome(TrialState.FAIL, reason=earlier.user_attrs.get("reason", "interrupted"))
    if trial.params != earlier.params:
        raise StepError(
            f"trial {trial.number} of the stored study has other parameters than this search proposes",
            code="study-changed",
            hint="it was changed from outside or made by another version of Optuna; give `study` a new name",
        )
    for place, value in earlier.intermediate_values.items():
        trial.report(value, place)
    return Outcome(earlier.state, earlier.value if earlier.state == TrialState.COMPLETE else None)
