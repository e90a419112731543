"""Search hyperparameters within training rows, for nested cross-validation. In: rows and a search. Out: parameters.

The trials are proposed and compared by the searches of ``optuna.tune``, in a study in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError, ToolUnavailable
from e2i.estimators import algorithms, recipe_choices
from e2i.estimators.metrics import METRICS
from e2i.estimators.one_thread import one_thread
from e2i.tools.model.params.training import CrossValidateParams, Search

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.fitting import Prepared
    from e2i.estimators.request import Request
    from e2i.estimators.scoring import Matrix

PARALLEL = 4
"""Trials in flight, whatever the number of cores: proposals must not depend on the machine."""


class Chosen(Struct, frozen=True):
    """What a search found, with what is fixed: hyperparameters, and choices of the recipe by their names."""

    params: dict[str, Any]
    recipe: dict[str, Any] = {}


class Searching:
    """Searches of hyperparameters, each within given rows of one table."""

    def __init__(self, params: CrossValidateParams, search: Search, request: Request, threads: int) -> None:
        from e2i.estimators import metrics

        if find_spec("optuna") is None:
            raise ToolUnavailable(
                "optuna", "`search` needs the package optuna", code="tool-missing", hint='pip install "e2i[optuna]"'
            )
        assert request.task is not None
        self._params, self._search, self._request, self._threads = params, search, request, threads
        self._metric = metrics.choose(search.metric or next(iter(params.metrics or ()), None), request.task)
        space = search.space or algorithms.of(params.algorithm).space
        self._space = {name: found for name, found in space.items() if name not in params.params}
        own = recipe_choices.split(self._space)[0]
        algorithms.check(params.algorithm, request.task, {**own, **params.params})

    def best(self, frame: pd.DataFrame, groups: Matrix | None) -> Chosen:
        """Return what is best by inner folds of these rows. Raises StepError."""
        from e2i.estimators.space import ordered
        from e2i.tools.optuna import search
        from e2i.tools.optuna.chosen_rows import ChosenRows
        from e2i.tools.optuna.objective import FoldsObjective

        fixed, seed = dict(self._params.params), self._request.seed
        splits = self._inner(frame)

        def prepare(choices: Mapping[str, Any]) -> Sequence[Prepared]:
            return self.request(choices).in_splits(frame, splits, threads=self._threads, groups=groups)

        direction = METRICS[self._metric].direction
        plan = search.Plan(
            ordered(self._space), self._search.trials, (direction,), parallel=PARALLEL, seed=seed, fixed=fixed
        )
        stop = self._params.early_stopping
        objective = FoldsObjective(prepare({}), (self._metric,), fixed, seed, stop=stop, rows=ChosenRows(prepare))
        with one_thread():  # trials share the cores
            trials = asyncio.run(search.run(plan, objective, [], _forget, lambda: False, threads=self._threads))
            best = search.best(trials, direction, hint="check `space` of `search`")
            return Chosen(objective.chosen(best), recipe_choices.split(best.params)[1])

    def request(self, choices: Mapping[str, Any]) -> Request:
        """Return the request with these choices of the recipe. Raises StepError for a value that it refuses."""
        from e2i.estimators import recipes

        found = recipe_choices.refined(self._params.prepare, choices)
        return self._request if found is None else replace(self._request, recipe=tuple(recipes.steps_of(found)))

    def _inner(self, frame: pd.DataFrame) -> list[Any]:
        """Return folds of these rows by the strategy of the outer ones; classes are stratified where none is set."""
        import pandas as pd

        from e2i.estimators import folding

        about, target = self._params.folds, self._params.target
        strategy: Any = about.strategy
        if strategy == "kfold" and self._request.task == "classification":
            strategy = "stratified"
        keys = folding.Keys(
            len(frame),
            None if about.by is None else pd.factorize(frame[about.by])[0],
            pd.factorize(frame[target])[0] if strategy in folding.STRATIFIED else None,
            None if about.time is None else folding.times(frame[about.time]),
        )
        division = folding.Division(strategy, self._search.inner_folds, about.gap)
        try:
            return folding.splits(keys, division, self._request.seed)
        except StepError as error:
            raise StepError(f"inner folds: {error.message}", code=error.code, hint=error.hint) from error


async def _forget(trials: Any) -> None:
    """Record nothing: the search is repeated when the step is."""
