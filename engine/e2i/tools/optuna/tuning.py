"""Search hyperparameters for a program. In: live tables, an algorithm and a search space. Out: the best parameters.

The search runs in a thread of its own, so nothing that a library does blocks the program's event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any, TypeVar
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from e2i import startup
from e2i.errors import BadCall, StepError
from e2i.tools.optuna import choosing, failures, search, warming
from e2i.tools.optuna import request as request_
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.connector import KNOWN, GuardedOptuna
from e2i.tools.optuna.objective import watched_metric
from e2i.tools.optuna.request import Request
from e2i.tools.optuna.rules import Choose
from e2i.tools.optuna.treating import EffectData, EffectObjective, EffectRecipe
from e2i.tools.optuna.trials import Data, Features, LiveObjective, Recipe

T = TypeVar("T")
Report = Callable[[Any, Sequence[str]], Awaitable[None]]
"""Takes a finished trial (optuna FrozenTrial) and the names of its metrics."""
PLAN = "e2i.plan"
"""Attribute of a study: what the proposals of the search depend on, beside its seed."""
_LIBRARIES = ("optuna.storages", "alembic.command", "alembic.script", "sqlalchemy.dialects.sqlite", "sklearn.metrics")
CELLS_PER_THREAD = 500_000
"""Values of a table for which another thread pays off; on a busy machine too many cost more than they save."""


class Best(dict[str, Any]):
    """The best parameters of a search, by name.

    ``value`` is their metric, of several the first; ``metrics`` has each by its name. ``trials`` are all finished
    trials (optuna FrozenTrial) of the study ``study_name``, ``front`` are those that no other one dominates, and
    ``seed`` is the one of the sampler and of every fit.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        value: float,
        study_name: str,
        trials: Sequence[Any],
        recipe: Recipe | EffectRecipe,
        features: Features,
        metrics: Mapping[str, float] | None = None,
        front: Sequence[Any] = (),
    ) -> None:
        super().__init__(params)
        self.value = value
        self.metrics = dict(metrics or {})
        self.front = list(front)
        self.study_name = study_name
        self.trials = list(trials)
        self.seed = recipe.seed
        self._recipe = recipe
        self._features = features

    def fit(self, X: Any, y: Any, **fit_arguments: Any) -> Any:  # noqa: N803 - the libraries' own name
        """Return an estimator of the library, fitted with the parameters and the seed of the search.

        ``X`` has the shape (rows, features), ``y`` (rows,); ``fit_arguments`` are those of the library's ``fit``, such
        as ``sample_weight``, and ``treatment`` for effects. XGBoost with other labels than 0, 1, … is inside
        scikit-learn's VotingClassifier, so that it predicts these labels. Raises ValueError for other features than
        those of the search, and for a table or labels that the library does not take.
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
    ends = None if request.timeout is None else time.monotonic() + request_.seconds(request.timeout)

    def expired() -> bool:
        return stopped() or (ends is not None and time.monotonic() >= ends)

    sought = request_.goals(request)
    rule = request_.choose(request, sought)
    recipe, data = request_.read(request, sought)
    own = not isinstance(recipe.algorithm, str)
    plan = request_.plan(request, recipe, sought, data.shape)
    name = request.study_name or f"{recipe.name.strip('<>')}-{uuid4().hex[:12]}"
    algorithm = recipe.about if isinstance(recipe, Recipe) else recipe.name
    about = {"e2i.metric": ",".join(sought.names), "e2i.algorithm": "callable" if own else algorithm}
    asked = _Asked(tuner, request, sought, rule, recipe, data, plan, name, about, report, expired)
    if tuner.is_shared and (found := await asked.search(shared=True)) is not None:
        return found
    found = await asked.search(shared=False)
    assert found is not None
    return found


class _Asked(Struct, frozen=True, eq=False):
    """A search that a program has asked for."""

    tuner: GuardedOptuna
    request: Request
    sought: Goals
    rule: Choose | None
    recipe: Recipe | EffectRecipe
    data: Data | EffectData
    plan: search.Plan
    name: str
    about: dict[str, Any]
    report: Report | None
    expired: Callable[[], bool]

    async def search(self, *, shared: bool) -> Best | None:
        """Search, alone with the study, or with other processes: None when these have another search."""
        tuner, name, plan = self.tuner, self.name, self.plan
        known = {other: await self._known(other) for other in self.request.warm_start}
        async with tuner.alone_with(name, self.expired, shared=shared) as turn:
            if turn is None:
                return self._best(await tuner.finished_trials(name), self.recipe)
            counts = {other: len(found) for other, found in known.items()}
            about = {**self.about, "e2i.seed": self.recipe.seed, PLAN: _digest(plan), KNOWN: counts}
            recorded, begun = await tuner.claim_study(name, plan.directions, about)
            _check_same(name, begun, about)
            seed = int(begun["e2i.seed"]) if self.request.seed is None else self.recipe.seed
            recipe = replace(self.recipe, seed=seed)
            if len(recorded) >= plan.trials:
                return self._best(recorded, recipe)
            if shared and (begun[PLAN] != about[PLAN] or begun["e2i.seed"] != seed):
                return None

            async def record(fresh: Sequence[Any]) -> None:
                await tuner.add_trials(name, fresh, mirrored=False)
                if self.report is not None:
                    for trial in fresh:
                        await self.report(trial, self.sought.names)

            cores = min(plan.parallel, len(os.sched_getaffinity(0)))
            try:
                found = await search.resume(
                    replace(plan, seed=seed),
                    self._objective(recipe),
                    recorded,
                    record,
                    self.expired,
                    threads=cores,
                    known=[trial for other, found in known.items() for trial in found[: begun[KNOWN].get(other, 0)]],
                    sharing=tuner.together(name, turn, record, cores) if shared else None,
                )
            except StepError as error:
                if shared and error.code == "study-changed":
                    return None
                raise
        return self._best(found, recipe)

    async def _known(self, other: str) -> list[Any]:
        metric, directions = self.about["e2i.metric"], self.sought.directions
        return warming.known(await self.tuner.trials_of(other, metric, directions), self.plan)

    def _objective(self, recipe: Recipe | EffectRecipe) -> LiveObjective | EffectObjective:
        if isinstance(recipe, EffectRecipe):
            assert isinstance(self.data, EffectData)
            return EffectObjective(recipe, self.data, self.sought.names)
        assert isinstance(self.data, Data)
        watched = None
        if self.plan.pruner != "none":
            watched = watched_metric(self.sought.names, self.data.shape)[1]
        threads = _threads(self.data.train.shape) if self.plan.parallel == 1 else 1
        return LiveObjective(recipe, self.data, self.sought.names, threads, watched)

    def _best(self, found: Sequence[Any], recipe: Recipe | EffectRecipe) -> Best:
        hint = failures.advice(found, isinstance(recipe.algorithm, str))
        best, front = choosing.best(found, self.sought, self.rule, hint=hint)
        return Best(
            best.params,
            value=float(best.values[0]),
            metrics=dict(zip(self.sought.names, map(float, best.values), strict=True)),
            front=front,
            study_name=self.name,
            trials=found,
            recipe=recipe,
            features=self.data.features,
        )


@cache
def _load() -> None:
    """Import the libraries once. A collection of garbage meanwhile would hold up the program for half a second."""
    with startup.without_collection() if gc.isenabled() else nullcontext():
        for name in _LIBRARIES:
            import_module(name)
    gc.freeze()


def _threads(shape: tuple[int, int]) -> int:
    """Return the number of threads of a fit: one for little data, where more only wait for each other."""
    return max(1, min(len(os.sched_getaffinity(0)), shape[0] * shape[1] // CELLS_PER_THREAD))


def _digest(plan: search.Plan) -> str:
    """Return what two searches have in common that make the same proposals."""
    space = {name: dimension.model_dump() for name, dimension in plan.space.items()}
    stop = [plan.stop.no_improvement, *plan.stop.targets]
    content = [space, plan.sampler, plan.pruner, plan.watched, plan.parallel, stop]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _check_same(name: str, begun: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for key in ("e2i.metric", "e2i.algorithm"):
        if begun[key] != about[key]:
            raise StepError(
                f"the study {name!r} was begun with the {key.removeprefix('e2i.')} {begun[key]}, not {about[key]}",
                code="study-changed",
                hint="set `study_name` to a new name, or None for a new study",
            )


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
