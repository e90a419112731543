"""``OptunaTuner``: Optuna for programs. In: live tables, an algorithm and a search space. Out: the best parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from e2i.catalog.action import without_credentials
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import BadCall, mistakes, text
from e2i.mlops.mlflow_run import Run, current_run
from e2i.mlops.tracing import traced
from e2i.tools.optuna import OptunaSettings as OptunaConfig
from e2i.tools.optuna.connector import GuardedOptuna
from e2i.tools.optuna.request import Request
from e2i.tools.optuna.tuning import Best, optimize

__all__ = ["Best", "OptunaConfig", "OptunaTuner"]


class _Default(str):
    """A default that can be told from the same text given by a caller."""

    __slots__ = ()


LONGEST_STUDY = 512
"""Length of the column with the names of studies in Optuna's tables."""
MAXIMIZE = _Default("maximize")
Rule = Mapping[str, str | float | Mapping[str, float] | None]
"""A rule as it is written in a spec, such as ``{"no_improvement": 20}``."""


class OptunaTuner(Connector[OptunaConfig]):
    """Optuna: studies of hyperparameters, in the store or in a database."""

    tool = "optuna"

    def open(self) -> None:
        self.client = GuardedOptuna(self.config, self.guard, self.home)

    @traced
    async def optimize(
        self,
        algorithm: str | Callable[..., Any],
        search_space: Mapping[str, Any],
        X_train: Any,  # noqa: N803 - names of the interface
        y_train: Any,
        X_val: Any,  # noqa: N803
        y_val: Any,
        n_trials: int = 50,
        metric: str | Sequence[str] = "auc",
        direction: str = MAXIMIZE,
        timeout: float | None = None,
        study_name: str | None = None,
        sampler: str = "tpe",
        pruner: str | None = None,
        seed: int | None = None,
        treatment: Any = None,
        choose: Rule | None = None,
        stop: Rule | None = None,
        warm_start: Sequence[str] = (),
        parallel: int = 1,
    ) -> Best:
        """Search hyperparameters; return the best, with ``value``, ``study_name``, ``trials`` and ``fit``.

        ``algorithm`` is a name of the registry, such as ``XGBoost`` or one that a plug-in or the settings add, or a
        callable that makes an estimator of parameters. ``search_space`` maps each parameter to ``[a, b]`` (one of a
        list), ``(1, 9)`` (integers), ``(0.1, 0.9)`` (numbers), ``{"low":, "high":, "log": True}`` or
        ``{"type": "int", "low":, "high":, "step":}``.
        Tables have the shape (rows, features): frames of pandas and Polars, tables of Arrow, arrays. Labels may be of
        any type; of two classes the last in order is the positive one. ``metric`` is one of the catalogue, ``auc`` is
        ``roc_auc``; a regression is tuned by rmse, mae, r2 or mape. ``direction`` must be the metric's; left out, it
        is. ``sampler``: tpe, multivariate_tpe, random, qmc, grid, cmaes, gp. ``pruner``: median, hyperband or
        successive_halving, for algorithms that train in rounds. After ``timeout`` seconds no new trial starts.

        Several metrics give a Pareto front (``front``); ``choose`` takes one trial of it, ``stop`` ends the search
        early, both as in ``optuna.tune``. The sampler knows the trials of the studies ``warm_start`` from the start.
        Effects of a treatment: ``algorithm`` is LinearDML, SparseLinearDML, CausalForest or, for a treatment of 0 and
        1, DRLearner, ForestDRLearner, SLearner, TLearner or XLearner, whose parameters are those of their models of the
        outcome. ``treatment`` are the treatments of both tables, ``(t_train, t_val)``, and ``metric`` is ``r_score`` or
        ``dr_score`` (both 0 for one effect for all rows, better when higher). A treatment of 0 and 1 is discrete, any
        other an amount. ``fit(X, y, treatment=t)`` returns EconML's own estimator.

        ``parallel`` trials are in flight, in threads of this process and in other processes on the same study.

        A named study is resumed to ``n_trials`` in all, also by several processes at once; None begins a new one. Equal
        arguments with a ``seed`` give equal parameters. Each trial is a nested run of the MLflow run that is open. A
        trial that fails is recorded with its reason. Raises ValueError for a wrong argument and when every trial
        fails, ToolUnavailable when the database of studies is down: trials that ended by then are kept.
        """
        if study_name is not None:
            text(study_name, "study_name", longest=LONGEST_STUDY)
        for name in search_space if isinstance(search_space, Mapping) else ():
            text(name, "the name of a parameter")
        for chosen, what in ((algorithm, "algorithm"), (metric, "metric"), (direction, "direction")):
            if isinstance(chosen, str):
                text(chosen, what)
        run = current_run.get()
        self._check_tracker(run)
        request = Request(
            algorithm=algorithm,
            search_space=search_space,
            train=(X_train, y_train),
            validation=(X_val, y_val),
            n_trials=n_trials,
            metric=metric,
            direction=None if direction is MAXIMIZE else direction,
            timeout=timeout,
            study_name=study_name,
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            treatment=treatment,
            choose=choose,
            stop=stop,
            warm_start=tuple(warm_start),
            parallel=parallel,
            source=self.program.settings.registry,
        )
        with mistakes():
            return await optimize(self.client, request, None if run is None else _reporter(run))

    def _check_tracker(self, run: Run | None) -> None:
        """Raise BadCall when trials are to go to another server than the run that they belong to."""
        wanted = self.config.mlflow_tracking_uri
        if run is None or wanted is None or wanted.rstrip("/") == (run.tracking_uri or "").rstrip("/"):
            return
        where = f"on {without_credentials(run.tracking_uri)}" if run.tracking_uri else "embedded in the store"
        raise BadCall(
            f"`mlflow_tracking_uri` of optuna is {without_credentials(wanted)}, and the open run is {where}",
            hint="a trial is a nested run of the open run: set both to one address, or leave the first out",
        )


def _reporter(run: Run) -> Callable[[Any, Sequence[str]], Any]:
    async def report(trial: Any, names: Sequence[str]) -> None:
        await run.log_child(
            name=f"trial-{trial.number:04d}",
            params={name: "null" if value is None else value for name, value in trial.params.items()},
            metrics={} if trial.values is None else dict(zip(names, trial.values, strict=True)),
            status="failed" if trial.state.name == "FAIL" else "finished",
            started_ms=int(trial.datetime_start.timestamp() * 1000),
            ended_ms=int(trial.datetime_complete.timestamp() * 1000),
        )

    return report
