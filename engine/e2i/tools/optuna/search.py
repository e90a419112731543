"""Run a search, reproducibly for a seed on any machine. In: a search space and an objective. Out: finished trials.

The number of trials in flight is fixed. Trial k is proposed once trial k - parallel has been reported, and trials are
reported in order. Proposals therefore depend neither on which thread was quicker nor on the number of threads. The
study is in memory. Recorded trials of an earlier attempt are replayed into it, so that an interrupted search ends with
the same result as an uninterrupted one.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange
from e2i.tools.optuna import samplers

STARTUP = 10
"""Random trials that Optuna's TPE begins with."""
Objective = Callable[[Any], float]
"""Takes an optuna Trial, returns its value. Raises StepError when the trial fails, optuna.TrialPruned when pruned."""


Sampler = Literal["tpe", "random", "qmc", "grid", "cmaes"]
"""``grid`` tries each combination of a finite space once; ``cmaes`` (CMA-ES) suits numbers."""
Pruner = Literal["none", "median", "hyperband", "successive_halving"]


class Plan(Struct, frozen=True):
    """Options of a search."""

    space: Mapping[str, Dimension]
    trials: int
    direction: Literal["maximize", "minimize"]
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    parallel: int = 1
    seed: int = 0


class Outcome(Struct, frozen=True):
    """Result of one trial. ``reason`` is set when it failed."""

    state: Any
    value: float | None = None
    reason: str | None = None


async def run(
    plan: Plan,
    objective: Objective,
    recorded: Sequence[Any],
    record: Callable[[Sequence[Any]], Awaitable[None]],
    expired: Callable[[], bool],
    *,
    threads: int,
    replay: bool = True,
) -> list[Any]:
    """Return the finished trials (optuna FrozenTrial), at most ``plan.trials``, in order.

    ``recorded`` are the trials of an earlier attempt; they are reported to the study, not evaluated. ``record``
    receives new ones, ``plan.parallel`` at a time. No trial is proposed once ``expired``. Up to ``threads`` trials are
    evaluated at once; the result does not depend on it. Raises StepError when the recorded trials belong to another
    search. Without ``replay`` they may: the sampler knows them, and StepError means that their parameters have other
    types. The trials of a finite grid may be fewer.
    """
    space = {name: distribution(dimension) for name, dimension in plan.space.items()}
    first = 0 if replay else len(recorded)
    study = samplers.study(plan, space, recorded[:first])
    # A pruner compares a trial with the reported ones, and a trial's intermediate reports may influence a proposal.
    # With a pruner, therefore, nothing is reported or proposed while a trial is evaluated.
    others = plan.parallel - 1 if plan.pruner == "none" else 0
    asked: list[Any] = []
    with ThreadPoolExecutor(min(plan.parallel, threads), thread_name_prefix="trial") as pool:
        flight = _Flight(study, objective, recorded, record, plan.parallel, pool)
        for number in range(first, samplers.trials(plan, space, recorded[:first])):
            if len(flight) == plan.parallel:
                await flight.land(others)
            if number >= len(recorded) and not asked and expired():
                break
            asked.append(study.ask(space))
            if len(flight) + len(asked) == plan.parallel:
                flight.begin(asked)
                asked = []
        flight.begin(asked)
        await flight.land(0)
    await flight.record_rest()
    return [*recorded[: plan.trials], *study.trials[len(recorded) :]]


async def resume(
    plan: Plan,
    objective: Objective,
    recorded: Sequence[Any],
    record: Callable[[Sequence[Any]], Awaitable[None]],
    expired: Callable[[], bool],
) -> list[Any]:
    """Extend a study one trial at a time, also one that another search began; return them and the new ones, in order.

    When this search would have made them, it ends as an uninterrupted one. Otherwise the sampler knows them. Raises
    StepError when their parameters have other types.
    """
    one_by_one = replace(plan, parallel=1)  # so nothing new is evaluated before all recorded trials are compared
    try:
        return await run(one_by_one, objective, recorded, record, expired, threads=1)
    except StepError as error:
        if error.code != "study-changed":
            raise
    return await run(one_by_one, objective, recorded, record, expired, threads=1, replay=False)


def best(trials: Sequence[Any], direction: str, *, hint: str) -> Any:
    """Return the best completed trial, the first of equals. Raises StepError when there is none."""
    completed = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if not completed:
        reasons = Counter(trial.user_attrs.get("reason", trial.state.name.lower()) for trial in trials)
        listed = "; ".join(f"{reason} ({count} of {len(trials)})" for reason, count in reasons.most_common(3))
        raise StepError(
            f"no trial was completed: {listed or 'none was started before the timeout'}",
            code="no-completed-trial",
            hint=hint,
            details={"reasons": dict(reasons)},
        )
    sign = -1.0 if direction == "maximize" else 1.0
    return min(completed, key=lambda trial: sign * trial.value)


class _Flight:
    """The trials in flight, oldest first, and the finished ones that are not recorded yet."""

    def __init__(
        self,
        study: Any,
        objective: Objective,
        recorded: Sequence[Any],
        record: Callable[[Sequence[Any]], Awaitable[None]],
        parallel: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._study = study
        self._objective = objective
        self._recorded = recorded
        self._record = record
        self._parallel = parallel
        self._pool = pool
        self._flying: deque[tuple[Any, Awaitable[Outcome]]] = deque()
        self._fresh: list[Any] = []

    def __len__(self) -> int:
        return len(self._flying)

    def begin(self, asked: Sequence[Any]) -> None:
        """Begins to evaluate trials. The outcomes of recorded ones are known."""
        loop = asyncio.get_running_loop()
        for trial in asked:
            if trial.number < len(self._recorded):
                known: asyncio.Future[Outcome] = loop.create_future()
                known.set_result(_replayed(trial, self._recorded[trial.number]))
                self._flying.append((trial, known))
            else:
                context = contextvars.copy_context()
                ending = loop.run_in_executor(self._pool, context.run, _evaluate, self._objective, trial)
                self._flying.append((trial, ending))

    async def land(self, most: int) -> None:
        """Waits for the oldest trials and reports them to the study, until at most the given number is in flight."""
        if not most:
            await asyncio.gather(*(ending for _, ending in self._flying))
        while len(self._flying) > most:
            trial, ending = self._flying.popleft()
            outcome = await ending
            if outcome.reason is not None:
                trial.set_user_attr("reason", outcome.reason)
            self._study.tell(trial, outcome.value, state=outcome.state)
            if trial.number >= len(self._recorded):
                self._fresh.append(self._study.trials[trial.number])
            if len(self._fresh) == self._parallel:
                await self.record_rest()

    async def record_rest(self) -> None:
        """Records the finished trials that are not recorded yet."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            await self._record(fresh)


def distribution(dimension: Dimension) -> Any:
    """Return Optuna's form of a hyperparameter's range."""
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
    """Return the recorded result of a trial, once the proposal is verified to be the same."""
    from optuna.trial import TrialState

    if earlier.state == TrialState.FAIL:
        return Outcome(TrialState.FAIL, reason=earlier.user_attrs["reason"])
    if trial.params != earlier.params:
        raise StepError(
            f"trial {trial.number} of the stored study has different parameters than this search proposes",
            code="study-changed",
            hint="it was changed externally or created by another version of Optuna; set `study` to a new name",
        )
    for index, value in earlier.intermediate_values.items():
        trial.report(value, index)
        trial.should_prune()  # some pruners remember what they decided
    return Outcome(earlier.state, earlier.value if earlier.state == TrialState.COMPLETE else None)
