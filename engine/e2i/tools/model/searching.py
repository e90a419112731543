"""Search hyperparameters within training rows, for nested cross-validation. In: rows and a search. Out: parameters.

The trials are proposed and compared by the searches of ``optuna.tune``, in a study in memory.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError, ToolUnavailable
from e2i.estimators import algorithms
from e2i.estimators.metrics import METRICS
from e2i.tools.model.params.training import CrossValidateParams, Search

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.request import Request
    from e2i.estimators.scoring import Matrix

PARALLEL = 4
"""Trials in flight, whatever the number of cores: proposals must not depend on the machine."""


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
        algorithms.check(params.algorithm, request.task, {**self._space, **params.params})

    def best(self, frame: pd.DataFrame, groups: Matrix | None) -> dict[str, Any]:
        """Return the best hyperparameters by inner folds of these rows, with those that are fixed. Raises StepError."""
        from threadpoolctl import threadpool_limits

        from e2i.estimators.space import ordered
        from e2i.tools.optuna import search
        from e2i.tools.optuna.objective import FoldsObjective

        fixed, seed = dict(self._params.params), self._request.seed
        prepared = self._request.in_splits(frame, self._inner(frame), threads=self._threads, groups=groups)
        direction = METRICS[self._metric].direction
        plan = search.Plan(
            ordered(self._space), self._search.trials, (direction,), parallel=PARALLEL, seed=seed, fixed=fixed
        )
        objective = FoldsObjective(prepared, (self._metric,), fixed, seed, stop=self._params.early_stopping)
        with threadpool_limits(limits=1, user_api="blas"):  # trials share the cores
            trials = asyncio.run(search.run(plan, objective, [], _forget, lambda: False, threads=self._threads))
            return objective.chosen(search.best(trials, direction, hint="check `space` of `search`"))

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
