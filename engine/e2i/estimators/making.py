"""Make and fit the libraries' own estimators. In: an algorithm's name and parameters. Out: an estimator.

Programs get estimators that their libraries made, so that everything that knows the libraries knows them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any, cast

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import algorithms
from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.hyperparameters import known_as
from e2i.estimators.live import library_of
from e2i.estimators.one_thread import one_thread
from e2i.estimators.rounds import Watch
from e2i.spec.suggest import few, nearest


def check(algorithm: str, task: Task, params: Hyperparameters) -> None:
    """Check that the algorithm supports the task and has each parameter. Raises StepError."""
    kind = _kind(algorithm, task)
    known = _accepted(kind) | algorithms.of(algorithm).params
    for name in params:
        if name in known:
            continue
        near = known_as(name, known) or next(iter(nearest(name, known)), None)
        raise StepError(
            f"{algorithm} has no parameter {name!r}",
            code="unknown-hyperparameter",
            hint=f'did you mean "{near}"?'
            if near
            else f"parameters: {few(sorted(algorithms.of(algorithm).params), 25)}",
        )


def make(algorithm: str, task: Task, params: Values, seed: int, threads: int | None = None) -> Any:
    """Return an estimator that is not fitted; ``threads`` None is the library's default.

    A preset's own parameters are its defaults. LightGBM ignores ``subsample`` without ``subsample_freq``, which is
    therefore 1 unless it is given.
    """
    family = algorithms.of(algorithm).estimator
    params = {**algorithms.of(algorithm).preset, **params}
    settings = {**family.settings, **({family.seed: seed} if family.seed else {})}
    if threads is not None and family.threads:
        settings[family.threads] = threads
    if algorithms.recorded(algorithm) == "LightGBM" and "subsample" in params:
        settings["subsample_freq"] = 1
    try:
        return _kind(algorithm, task)(**{**settings, **params})
    except (ValueError, TypeError) as error:
        raise StepError(f"{algorithm}: {error}", code="fit-failed") from error


def fit(estimator: Any, table: Any, labels: Any, arguments: Values) -> Any:
    """Fit an estimator and return it. A forest then predicts on one thread, so that sums keep their order."""
    with one_thread() if library_of(estimator) == "sklearn" else nullcontext():
        fitted = estimator.fit(table, labels, **arguments)
    if library_of(fitted) == "sklearn" and "n_jobs" in fitted.get_params(deep=False):
        fitted.set_params(n_jobs=None)
    return fitted


def native(fitted: Any) -> Any:
    """Return a fitted estimator as its library's module saves it: the booster of XGBoost and LightGBM, else itself."""
    match library_of(fitted):
        case "xgboost":
            return fitted.get_booster()
        case "lightgbm":
            return fitted.booster_
        case _:
            return fitted


def watched(estimator: Any, watch: Watch, shape: str) -> tuple[Any, Values]:
    """Have an estimator that trains in rounds report each one; return it and arguments of its ``fit``.

    They need validation rows beside them: ``validation_argument``. Raises StepError for any other estimator.
    """
    match library_of(estimator):
        case "xgboost":
            from e2i.estimators import xgboost

            callbacks = [*(estimator.get_params().get("callbacks") or ()), xgboost.callback(watch)]
            name = xgboost.metric_name(watch.metric, shape)
            return estimator.set_params(callbacks=callbacks, eval_metric=name), {"verbose": False}
        case "lightgbm":
            from e2i.estimators import lightgbm

            name = lightgbm.metric_name(watch.metric, shape)
            return estimator.set_params(metric=name), {"callbacks": [lightgbm.callback(watch)]}
        case "catboost":
            from e2i.estimators import catboost

            name = catboost.metric_name(watch.metric, shape)
            return estimator.set_params(eval_metric=name, use_best_model=False), {
                "callbacks": [catboost.Watching(watch)]
            }
        case _:
            able = ", ".join(name for name, known in ALGORITHMS.items() if known.rounds)
            raise StepError(
                f"{type(estimator).__name__} does not train in rounds, so its trials cannot be pruned",
                code="no-rounds",
                hint=f"leave `pruner` out, or use {able}",
            )


def validation_argument(estimator: Any, table: Any, labels: Any) -> Values:
    """Return the argument of ``fit`` that holds validation rows, for the estimators of ``watched``."""
    import inspect

    if "eval_X" in inspect.signature(estimator.fit).parameters:  # LightGBM from 4.7
        return {"eval_X": (table,), "eval_y": (labels,)}
    return {"eval_set": [(table, labels)]}


def _kind(algorithm: str, task: Task) -> Any:
    family = algorithms.of(algorithm).estimator
    if task not in family.classes:
        able = ", ".join(name for name, found in ALGORITHMS.items() if task in found.estimator.classes)
        raise StepError(
            f"{algorithm} does not support {task}", code="wrong-task", hint=f"algorithms for {task}: {able}"
        )
    return getattr(import_module(family.module), family.classes[task])


def _accepted(kind: Any) -> set[str]:
    import inspect

    signature = inspect.signature(kind.__init__).parameters
    named = {name for name, found in signature.items() if found.kind not in (found.VAR_KEYWORD, found.VAR_POSITIONAL)}
    return (named | set(cast("Mapping[str, Any]", kind().get_params()))) - {"self"}
