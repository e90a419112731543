"""Run a search, reproducibly for a seed on any machine. In: a search space and an objective. Out: finished trials.

The number of trials in flight is fixed. Trial k is proposed once trial k - parallel has been reported, and trials are
reported in order. Proposals therefore depend neither on which thread was quicker nor on the number of threads. The
study is in memory. Recorded trials of an earlier attempt are replayed into it, so that an interrupted search ends with
the same result as an uninterrupted one.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from e2i.errors import StepError
from e2i.estimators.space import Dimension
from e2i.tools.optuna import samplers
from e2i.tools.optuna.judging import Judged, Jury
from e2i.tools.optuna.pruners import Pruner
from e2i.tools.optuna.sharing import Sharing
from e2i.tools.optuna.stopping import Progress, Stop

STARTUP = 10
"""Random trials that Optuna's TPE begins with."""
Objective = Callable[[Any], float | Sequence[float]]
"""Takes a ``Judged`` trial, returns its value, or one for each direction. Raises StepError when the trial fails,
optuna.TrialPruned when pruned."""


Direction = Literal["maximize", "minimize"]
Sampler = Literal["tpe", "multivariate_tpe", "random", "qmc", "grid", "cmaes", "gp"]
"""``grid`` tries each combination of a finite space once; ``cmaes`` (CMA-ES) suits numbers; ``gp`` needs torch."""
GUIDED = ("tpe", "multivariate_tpe", "cmaes", "gp")
"""Samplers that use the results of earlier trials."""


class Plan(Struct, frozen=True):
    """Options of a search. Ranges that depend on others are behind them (``space.ordered``)."""

    space: Mapping[str, Dimension]
    trials: int
    directions: tuple[Direction, ...]
    """One for each value of a trial."""
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    watched: int = 0
    """Position of the value that trials report on the way, for the pruner."""
    parallel: int = 1
    seed: int = 0
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters that are not searched, for the conditions of the space."""
    stop: Stop = Stop()


class Outcome(Struct, frozen=True):
    """Result of one trial. ``reason`` is set when it failed."""

    state: Any
    values: tuple[float, ...] | None = None
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
    known: Sequence[Any] = (),
    sharing: Sharing | None = None,
) -> list[Any]:
    """Return the finished trials (optuna FrozenTrial), at most ``plan.trials``, in order.

    ``recorded`` are the trials of an earlier attempt; they are reported to the study, not evaluated. ``record``
    receives new ones, ``plan.parallel`` at a time. No trial is proposed once ``expired``, or once ``plan.stop`` says
    so. Up to ``threads`` trials are evaluated at once; the result does not depend on it. Raises StepError when the
    recorded trials belong to another search. Without ``replay`` they may: the sampler knows them, and StepError means
    that their parameters have other types. The trials of a finite grid may be fewer. The sampler also knows the trials
    of other studies, ``known``, which are not among those returned. With ``sharing``, other processes run the same
    search at the same time: it then records the trials, and of the recorded ones some may be missing.
    """
    ended = {trial.number: trial for trial in recorded}
    own = [] if replay else list(recorded)
    first = 1 + max(ended) if own else 0
    before = [*known, *own]
    study = samplers.study(plan, before)
    # A pruner compares a trial with the reported ones, and a trial's intermediate reports may influence a proposal.
    # With a pruner, therefore, nothing is reported or proposed while a trial is evaluated.
    others = plan.parallel - 1 if plan.pruner == "none" else 0
    asked: list[Any] = []
    with ThreadPoolExecutor(min(plan.parallel, threads), thread_name_prefix="trial") as pool:
        flight = _Flight(study, plan, own, known, first, objective, ended, record, pool, sharing)
        try:
            for number in range(first, first + samplers.trials(plan, before, len(own)) - len(own)):
                if len(flight) == plan.parallel:
                    await flight.land(others)
                if not asked and (flight.found_enough or (number not in ended and expired())):
                    break
                asked.append(samplers.ask(study, plan))
                if len(flight) + len(asked) == plan.parallel:
                    flight.begin(asked)
                    asked = []
            flight.begin(asked)
            await flight.land(0)
        finally:
            flight.abandon()
    await flight.record_rest()
    return [*own, *flight.landed]


async def resume(
    plan: Plan,
    objective: Objective,
    recorded: Sequence[Any],
    record: Callable[[Sequence[Any]], Awaitable[None]],
    expired: Callable[[], bool],
    *,
    threads: int = 1,
    known: Sequence[Any] = (),
    sharing: Sharing | None = None,
) -> list[Any]:
    """Extend a study, also one that another search began; return its trials and the new ones, in order.

    When this search would have made them, it ends as an uninterrupted one. Otherwise the sampler knows them. Raises
    StepError when their parameters have other types.
    """
    try:  # nothing new is evaluated before all recorded trials are compared
        return await run(plan, objective, recorded, record, expired, threads=threads, known=known, sharing=sharing)
    except StepError as error:
        if error.code != "study-changed" or sharing is not None:
            raise
    return await run(plan, objective, recorded, record, expired, threads=threads, replay=False, known=known)


def completed(trials: Sequence[Any], *, hint: str) -> list[Any]:
    """Return the completed trials. Raises StepError with the reasons when there is none."""
    found = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if not found:
        reasons = Counter(trial.user_attrs.get("reason", trial.state.name.lower()) for trial in trials)
        listed = "; ".join(f"{reason} ({count} of {len(trials)})" for reason, count in reasons.most_common(3))
        raise StepError(
            f"no trial was completed: {listed or 'none was started before the timeout'}",
            code="no-completed-trial",
            hint=hint,
            details={"reasons": dict(reasons)},
        )
    return found


def best(trials: Sequence[Any], direction: str, *, hint: str) -> Any:
    """Return the best completed trial of one value, the first of equals. Raises StepError when there is none."""
    sign = -1.0 if direction == "maximize" else 1.0
    return min(completed(trials, hint=hint), key=lambda trial: sign * trial.value)


class _Flight:
    """The trials in flight, oldest first, and the finished ones that are not recorded yet."""

    def __init__(
        self,
        study: Any,
        plan: Plan,
        own: Sequence[Any],
        known: Sequence[Any],
        first: int,
        objective: Objective,
        recorded: dict[int, Any],
        record: Callable[[Sequence[Any]], Awaitable[None]],
        pool: ThreadPoolExecutor,
        sharing: Sharing | None,
    ) -> None:
        self.landed: list[Any] = []
        """The finished trials that have been reported to the study, in order."""
        self._study = study
        self._plan = plan
        self._offset = len(own) + len(known) - first
        self._jury = Jury(plan.directions, plan.watched, plan.pruner, [*known, *own])
        self._progress = Progress(plan.stop, plan.directions)
        self._objective = objective
        self._recorded = recorded
        self._record = record
        self._pool = pool
        self._sharing = sharing
        self._flying: deque[tuple[Judged, Awaitable[Outcome]]] = deque()
        self._unrecorded: list[Any] = []
        for trial in own:
            self._progress.add(None if trial.values is None else tuple(trial.values))

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def found_enough(self) -> bool:
        return self._progress.reason is not None

    def begin(self, asked: Sequence[Any]) -> None:
        """Begins to evaluate trials. The outcomes of recorded ones are known."""
        loop = asyncio.get_running_loop()
        for proposed in asked:
            trial = self._jury.judge(proposed, proposed.number - self._offset)
            if trial.number in self._recorded:
                known: asyncio.Future[Outcome] = loop.create_future()
                known.set_result(_replayed(trial, self._recorded[trial.number]))
                self._flying.append((trial, known))
            elif self._sharing is None:
                self._flying.append((trial, self._evaluated(trial)))
            else:
                self._flying.append((trial, asyncio.ensure_future(self._settled(trial, self._sharing))))

    async def land(self, most: int) -> None:
        """Waits for the oldest trials and reports them to the study, until at most the given number is in flight."""
        if not most:
            await asyncio.gather(*(ending for _, ending in self._flying))
        while len(self._flying) > most:
            trial, ending = self._flying.popleft()
            outcome = await ending
            if outcome.reason is not None:
                trial.proposed.set_user_attr("reason", outcome.reason)
            self._study.tell(trial.proposed, outcome.values, state=outcome.state)
            trial.end(outcome.state)
            self._progress.add(outcome.values)
            if trial.number in self._recorded:
                self.landed.append(self._recorded[trial.number])
                continue
            self.landed.append(self._frozen(trial))
            self._unrecorded.append(self.landed[-1])
            if len(self._unrecorded) == self._plan.parallel:
                await self.record_rest()

    async def record_rest(self) -> None:
        """Records the finished trials that are not recorded yet."""
        if self._unrecorded:
            fresh, self._unrecorded = self._unrecorded, []
            await self._record(fresh)

    def abandon(self) -> None:
        """Stops to wait for trials in flight, after an error or a cancellation; there are none after a search."""
        for _, ending in self._flying:
            if isinstance(ending, asyncio.Future):
                ending.cancel()

    def _evaluated(self, trial: Judged) -> Awaitable[Outcome]:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._pool, context.run, _evaluate, self._objective, trial, self._plan)

    async def _settled(self, trial: Judged, sharing: Sharing) -> Outcome:
        """Return the outcome of a trial that this or another process evaluates, once it is recorded."""
        outcomes: list[Outcome] = []

        async def evaluate() -> Any:
            outcomes.append(await self._evaluated(trial))
            return self._ended(trial, outcomes[0])

        self._recorded[trial.number], is_own = await sharing.settle(trial.number, evaluate)
        return outcomes[0] if is_own else _replayed(trial, self._recorded[trial.number])

    def _ended(self, trial: Judged, outcome: Outcome) -> Any:
        """Return the trial as it is recorded before it is reported to the study."""
        found = self._frozen(trial)
        found.state, found.values = outcome.state, outcome.values
        found.datetime_complete = datetime.now()  # as Optuna does
        if outcome.reason is not None:
            found.user_attrs = {**found.user_attrs, "reason": outcome.reason}
        return found

    def _frozen(self, trial: Judged) -> Any:
        """Return the trial as it is in the study, by its own number, with its reports."""
        found = copy.copy(self._study.get_trials(deepcopy=False)[trial.proposed.number])
        found.number = trial.number
        found.intermediate_values = dict(trial.reports)
        return found


def _evaluate(objective: Objective, trial: Judged, plan: Plan) -> Outcome:
    import optuna
    from optuna.trial import TrialState

    try:
        found = objective(trial)
    except optuna.TrialPruned:
        return Outcome(TrialState.PRUNED)
    except StepError as error:
        return Outcome(TrialState.FAIL, reason=error.message)
    values = tuple(found) if isinstance(found, Sequence) else (found,)
    if not all(map(math.isfinite, values)):
        return Outcome(TrialState.FAIL, reason="the metric is not defined for this trial")
    return Outcome(TrialState.COMPLETE, values)


def _replayed(trial: Judged, earlier: Any) -> Outcome:
    """Return the recorded result of a trial, once the proposal is verified to be the same."""
    from optuna.trial import TrialState

    if trial.params != earlier.params:
        raise StepError(
            f"trial {trial.number} of the stored study has different parameters than this search proposes",
            code="study-changed",
            hint="it was changed externally or created by another version of Optuna; set `study` to a new name",
        )
    for index, value in earlier.intermediate_values.items():
        trial.report(value, index)
        trial.should_prune()  # some pruners remember what they decided
    if earlier.state == TrialState.FAIL:
        return Outcome(TrialState.FAIL, reason=earlier.user_attrs["reason"])
    return Outcome(earlier.state, tuple(earlier.values) if earlier.state == TrialState.COMPLETE else None)
