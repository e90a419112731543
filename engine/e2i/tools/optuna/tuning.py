"""Search hyperparameters for a program. In: live tables, an algorithm and a search space. Out: the best parameters.

The search runs in a thread of its own, so nothing that a library does blocks the program's event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, get_args
from uuid import uuid4

from msgspec import Struct

from e2i import startup
from e2i.errors import BadCall, StepError
from e2i.estimators import live
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.metrics import METRICS
from e2i.spec import suggest
from e2i.tools.optuna import failures, making, search, spaces, trials
from e2i.tools.optuna.connector import GuardedOptuna
from e2i.tools.optuna.trials import Data, Features, LiveObjective, Make, Recipe

T = TypeVar("T")
Report = Callable[[Any, str], Awaitable[None]]
"""Takes a finished trial (optuna FrozenTrial) and the name of its metric."""
SEEDS = 2**31
_LIBRARIES = ("optuna.storages", "alembic.command", "alembic.script", "sqlalchemy.dialects.sqlite", "sklearn.metrics")
CELLS_PER_THREAD = 500_000
"""Values of a table for which another thread pays off; on a busy machine too many cost more than they save."""


class Request(Struct, frozen=True, eq=False):
    """A program's call, as it was made. ``direction`` None is the metric's own."""

    algorithm: str | Make
    search_space: Mapping[str, Any]
    train: tuple[Any, Any]
    """Table and labels of training."""
    validation: tuple[Any, Any]
    n_trials: int
    metric: str
    direction: str | None
    timeout: float | None
    study_name: str | None
    sampler: str
    pruner: str | None
    seed: int | None


class Best(dict[str, Any]):
    """The best parameters of a search, by name.

    ``value`` is their metric, ``trials`` are all finished trials (optuna FrozenTrial) of the study ``study_name``, and
    ``seed`` is the one of the sampler and of every fit.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        value: float,
        study_name: str,
        trials: Sequence[Any],
        recipe: Recipe,
        features: Features,
    ) -> None:
        super().__init__(params)
        self.value = value
        self.study_name = study_name
        self.trials = list(trials)
        self.seed = recipe.seed
        self._recipe = recipe
        self._features = features

    def fit(self, X: Any, y: Any, **fit_arguments: Any) -> Any:  # noqa: N803 - the libraries' own name
        """Return an estimator of the library, fitted with the parameters and the seed of the search.

        ``X`` has the shape (rows, features), ``y`` (rows,); ``fit_arguments`` are those of the library's ``fit``, such
        as ``sample_weight``. XGBoost with other labels than 0, 1, … is inside scikit-learn's VotingClassifier, so that
        it predicts these labels. Raises ValueError for other features than those of the search, and for a table or
        labels that the library does not take.
        """
        try:
            return self._recipe.fit(self, X, y, fit_arguments, self._features)
        except StepError as error:
            raise BadCall.of(error) from error


async def optimize(tuner: GuardedOptuna, request: Request, report: Report | None = None) -> Best:
    """Run the search in a thread of its own and return the best parameters.

    ``report`` receives each new trial in that thread's event loop. A cancelled call ends the search after its running
    trial. Raises StepError for a wrong argument and when no trial is completed, ToolUnavailable when the storage fails.
    """
    stop = threading.Event()
    try:
        return await _aside(lambda: asyncio.run(_optimize(tuner, request, report, stop.is_set)))
    except asyncio.CancelledError:
        stop.set()
        raise


async def _optimize(tuner: GuardedOptuna, request: Request, report: Report | None, stopped: Callable[[], bool]) -> Best:
    _load()
    if request.study_name is not None and (not isinstance(request.study_name, str) or not request.study_name.strip()):
        raise StepError(
            f"`study_name` is {request.study_name!r:.80}, not a name",
            code="bad-call",
            hint="a text, or None for a new study",
        )
    ends = None if request.timeout is None else time.monotonic() + _seconds(request.timeout)

    def expired() -> bool:
        return stopped() or (ends is not None and time.monotonic() >= ends)

    metric = trials.metric_named(request.metric)
    direction = trials.direction_of(metric, request.direction)
    recipe = _recipe(request, metric)
    plan = _plan(request, recipe, direction)
    own = not isinstance(recipe.algorithm, str)
    data = trials.read(*request.train, *request.validation, recipe.task, own)
    prune = plan.pruner != "none"
    if prune:
        trials.watched_metric(metric, data.shape)
    if not own:  # what every trial would fail by is no trial
        trials.prepared(recipe.make({}), data.train)
    name = request.study_name or f"{recipe.name.strip('<>')}-{uuid4().hex[:12]}"
    about = {"e2i.metric": metric, "e2i.algorithm": "callable" if own else recipe.name, "e2i.seed": recipe.seed}
    async with tuner.alone_with(name, expired) as alone:
        if not alone:
            return _best(name, await tuner.finished_trials(name), direction, recipe, data)
        recorded, begun = await tuner.claim_study(name, direction, about)
        _check_same(name, begun, about)
        seed = int(begun["e2i.seed"]) if request.seed is None else recipe.seed
        recipe = Recipe(recipe.algorithm, recipe.task, seed)
        if len(recorded) >= plan.trials:
            return _best(name, recorded, direction, recipe, data)

        async def record(fresh: Sequence[Any]) -> None:
            await tuner.add_trials(name, fresh, mirrored=False)
            if report is not None:
                for trial in fresh:
                    await report(trial, metric)

        objective = LiveObjective(recipe, data, metric, _threads(data.train.shape), prune)
        found = await search.resume(_with_seed(plan, seed), objective, recorded, record, expired)
    return _best(name, found, direction, recipe, data)


@cache
def _load() -> None:
    """Import the libraries once. A collection of garbage meanwhile would hold up the program for half a second."""
    with startup.without_collection() if gc.isenabled() else nullcontext():
        for name in _LIBRARIES:
            import_module(name)
    gc.freeze()


def _recipe(request: Request, metric: str) -> Recipe:
    task = METRICS[metric].task
    seed = secrets.randbelow(SEEDS) if request.seed is None else _seed(request.seed)
    if callable(request.algorithm):
        return Recipe(request.algorithm, task, seed)
    if not isinstance(request.algorithm, str):
        raise StepError(
            f"`algorithm` is {request.algorithm!r:.80}, neither a name nor a callable",
            code="unknown-algorithm",
            hint=f"algorithms: {', '.join(ALGORITHMS)}, or a callable that makes an estimator of parameters",
        )
    name = live.named(request.algorithm)
    making.check(name, task, request.search_space if isinstance(request.search_space, Mapping) else {})
    return Recipe(name, task, seed)


def _seed(given: Any) -> int:
    """Return the seed as a number of Python. Raises StepError."""
    seed = -1 if isinstance(given, bool) or not hasattr(given, "__index__") else given.__index__()
    if not 0 <= seed < SEEDS:
        raise StepError(
            f"the seed {given!r:.80} is not between 0 and {SEEDS - 1:,}",
            code="bad-seed",
            hint="such as seed=3, or None",
        )
    return int(seed)


def _plan(request: Request, recipe: Recipe, direction: Any) -> search.Plan:
    pruner: Any = _one_of("pruner", "none" if request.pruner is None else request.pruner, get_args(search.Pruner))
    known = ALGORITHMS.get(recipe.algorithm) if isinstance(recipe.algorithm, str) else None
    if pruner != "none" and known is not None and not known.rounds:
        able = ", ".join(name for name, found in ALGORITHMS.items() if found.rounds)
        raise StepError(
            f"{recipe.name} does not train in rounds, so its trials cannot be pruned",
            code="no-rounds",
            hint=f"leave `pruner` out, or use one of {able}",
        )
    if isinstance(request.n_trials, bool) or not isinstance(request.n_trials, int) or request.n_trials < 1:
        raise StepError(
            f"`n_trials` is {request.n_trials!r:.80}, not a number of trials from 1",
            code="bad-trials",
            hint="such as n_trials=50",
        )
    return search.Plan(
        space=spaces.read(request.search_space),
        trials=request.n_trials,
        direction=direction,
        sampler=_one_of("sampler", request.sampler, get_args(search.Sampler)),
        pruner=pruner,
        seed=recipe.seed,
    )


def _threads(shape: tuple[int, int]) -> int:
    """Return the number of threads of a fit: one for little data, where more only wait for each other."""
    return max(1, min(len(os.sched_getaffinity(0)), shape[0] * shape[1] // CELLS_PER_THREAD))


def _with_seed(plan: search.Plan, seed: int) -> search.Plan:
    from msgspec.structs import replace

    return replace(plan, seed=seed)


def _one_of(argument: str, value: Any, known: Sequence[str]) -> Any:
    if not isinstance(value, str):
        raise StepError(
            f"`{argument}` is of the type {type(value).__name__}, not a text",
            code=f"unknown-{argument}",
            hint=f"choose from: {', '.join(known)}",
        )
    folded = "".join(sign for sign in str(value).casefold() if sign.isalnum())
    for name in known:
        if folded == name.replace("_", ""):
            return name
    raise StepError(
        f"there is no {argument} {value!r}",
        code=f"unknown-{argument}",
        hint=suggest.hint(str(value), known) or f"choose from: {', '.join(known)}",
    )


def _seconds(timeout: Any) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise StepError(
            f"`timeout` is {timeout!r}, not a number of seconds above 0",
            code="bad-timeout",
            hint="such as timeout=600, or None for no limit",
        )
    return float(timeout)


def _check_same(name: str, begun: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for key in ("e2i.metric", "e2i.algorithm"):
        if begun[key] != about[key]:
            raise StepError(
                f"the study {name!r} was begun with the {key.removeprefix('e2i.')} {begun[key]}, not {about[key]}",
                code="study-changed",
                hint="set `study_name` to a new name, or None for a new study",
            )


def _best(name: str, found: Sequence[Any], direction: str, recipe: Recipe, data: Data) -> Best:
    best = search.best(found, direction, hint=failures.advice(found, isinstance(recipe.algorithm, str)))
    value, features = float(best.value), data.features
    return Best(best.params, value=value, study_name=name, trials=found, recipe=recipe, features=features)


async def _aside(work: Callable[[], T]) -> T:
    """Return the result of ``work`` in a daemon thread, which goes on when the caller is cancelled."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits, which raises it
            done.set_exception(error)

    threading.Thread(target=run, name="e2i-search", daemon=True).start()
    return await asyncio.wrap_future(done)
