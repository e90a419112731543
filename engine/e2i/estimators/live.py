"""Make, fit and apply the libraries' own estimators. In: an algorithm's name and parameters. Out: an estimator.

Programs get estimators that their libraries made, so that everything that knows the libraries knows them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import metrics
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.hyperparameters import known_as
from e2i.estimators.rounds import Watch
from e2i.spec.suggest import few, nearest

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

LATER = ("CausalForest", "LinearDML")
"""Algorithms of causal effects, which are not available yet."""
RANKING = ("roc_auc", "average_precision")
DECIDING = ("accuracy", "f1", "precision", "recall")


class Family(Struct, frozen=True):
    """The estimators of one algorithm: ``module``, the class for each task, and what is set unless a program sets it.

    ``seed`` and ``threads`` are the names of those parameters; an empty name means that there is none.
    """

    module: str
    classes: Mapping[Task, str]
    seed: str = "random_state"
    threads: str = "n_jobs"
    settings: Values = {}


def _both(stem: str) -> Mapping[Task, str]:
    return {"classification": f"{stem}Classifier", "regression": f"{stem}Regressor"}


FAMILIES: dict[str, Family] = {
    "XGBoost": Family("xgboost", _both("XGB"), settings={"enable_categorical": True}),
    "LightGBM": Family(
        "lightgbm", _both("LGBM"), settings={"verbosity": -1, "deterministic": True, "force_col_wise": True}
    ),
    "CatBoost": Family(
        "catboost", _both("CatBoost"), "random_seed", "thread_count", {"allow_writing_files": False, "verbose": False}
    ),
    "RandomForest": Family("sklearn.ensemble", _both("RandomForest")),
    "LogisticRegression": Family(
        "sklearn.linear_model", {"classification": "LogisticRegression"}, threads="", settings={"max_iter": 1000}
    ),
    "Ridge": Family("sklearn.linear_model", {"regression": "Ridge"}, threads=""),
    "Lasso": Family("sklearn.linear_model", {"regression": "Lasso"}, threads=""),
}


def named(algorithm: str) -> str:
    """Return the registry's spelling of an algorithm: upper and lower case, ``_`` and ``-`` do not matter.

    Raises StepError for an unknown name.
    """
    folded = _folded(algorithm)
    for name in ALGORITHMS:
        if folded == _folded(name):
            return name
    for name in LATER:
        if folded == _folded(name):
            raise StepError(
                f"{name} is not available yet: algorithms of causal effects come with a later version",
                code="unknown-algorithm",
                hint=f"algorithms: {', '.join(ALGORITHMS)}",
            )
    near = nearest(algorithm, ALGORITHMS)
    raise StepError(
        f"there is no algorithm {algorithm!r}",
        code="unknown-algorithm",
        hint=f'did you mean "{near[0]}"?' if near else f"algorithms: {', '.join(ALGORITHMS)}, or a callable",
    )


def check(algorithm: str, task: Task, params: Values) -> None:
    """Check that the algorithm supports the task and has each parameter. Raises StepError."""
    kind = _kind(algorithm, task)
    known = _accepted(kind) | ALGORITHMS[algorithm].params
    for name in params:
        if name in known:
            continue
        near = known_as(name, known) or next(iter(nearest(name, known)), None)
        raise StepError(
            f"{algorithm} has no parameter {name!r}",
            code="unknown-hyperparameter",
            hint=f'did you mean "{near}"?' if near else f"parameters: {few(sorted(ALGORITHMS[algorithm].params), 25)}",
        )


def make(algorithm: str, task: Task, params: Values, seed: int, threads: int | None = None) -> Any:
    """Return an estimator that is not fitted; ``threads`` None is the library's default.

    LightGBM ignores ``subsample`` without ``subsample_freq``, which is therefore 1 unless it is given.
    """
    family = FAMILIES[algorithm]
    settings = {**family.settings, family.seed: seed}
    if threads is not None and family.threads:
        settings[family.threads] = threads
    if algorithm == "LightGBM" and "subsample" in params:
        settings["subsample_freq"] = 1
    try:
        return _kind(algorithm, task)(**{**settings, **params})
    except (ValueError, TypeError) as error:
        raise StepError(f"{algorithm}: {error}", code="fit-failed") from error


def library_of(estimator: Any) -> str:
    """Return the name of the library that an estimator comes from: ``xgboost``, ``sklearn``, …"""
    for kind in type(estimator).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("xgboost", "lightgbm", "catboost", "sklearn", "econml"):
            return root
    return type(estimator).__module__.partition(".")[0]


def with_labels(estimator: Any, classes: Matrix) -> Any:
    """Return the estimator, or scikit-learn's wrapper of it when its library knows only the labels 0, 1, …

    XGBoost is such a library. The wrapper is a vote of one: its predictions are labels.
    """
    import numpy as np

    if library_of(estimator) != "xgboost" or np.array_equal(classes, np.arange(len(classes))):
        return estimator
    from sklearn.ensemble import VotingClassifier

    return VotingClassifier([("model", estimator)], voting="soft")


def fit(estimator: Any, table: Any, labels: Any, arguments: Values) -> Any:
    """Fit an estimator and return it. A forest then predicts on one thread, so that sums keep their order."""
    fitted = estimator.fit(table, labels, **arguments)
    if library_of(fitted) == "sklearn" and "Forest" in type(fitted).__name__:
        fitted.set_params(n_jobs=None)
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


def measure(estimator: Any, metric: str, table: Any, places: Matrix, classes: Matrix | None) -> float:
    """Return a metric of a fitted estimator; NaN where it is not defined.

    ``places`` are positions in ``classes``, or the target of regression. ``estimator`` predicts labels, or positions.
    Raises StepError when it cannot be judged by the metric.
    """
    import numpy as np

    found = metrics.METRICS[metric]
    if classes is None:
        predicted = np.asarray(estimator.predict(table), dtype=np.float64).reshape(len(places), -1)[:, 0]
        return float(found.compute(metrics.rows_of(found.task, places, predicted)))
    decided = _decided(estimator, table, classes) if metric in DECIDING else np.empty(0)
    predicted = _probabilities(estimator, metric, table, classes, decided)
    return float(found.compute(metrics.Rows(places, predicted, decided)))


def _probabilities(estimator: Any, metric: str, table: Any, classes: Matrix, decided: Matrix) -> Matrix:
    """Return (n,) for the last of two classes, else (n, k); or a score of the same form where that is enough."""
    import numpy as np

    if hasattr(estimator, "predict_proba"):
        found = np.asarray(estimator.predict_proba(table), dtype=np.float64)
        if found.shape[1] != len(classes):
            raise StepError(
                f"the model knows {found.shape[1]} classes of {len(classes)}",
                code="fit-failed",
                hint="check that the training rows have every class",
            )
        return found[:, 1] if len(classes) == 2 else found
    if metric in DECIDING:
        one_hot: Matrix = (decided[:, None] == np.arange(len(classes))).astype(np.float64)
        return one_hot[:, 1] if len(classes) == 2 else one_hot
    if metric in RANKING and hasattr(estimator, "decision_function"):
        scores: Matrix = np.asarray(estimator.decision_function(table), dtype=np.float64)
        return scores
    raise StepError(
        f"{type(estimator).__name__} gives no probabilities, so it cannot be judged by {metric}",
        code="wrong-metric",
        hint=f"choose one of {', '.join(DECIDING)}",
    )


def _decided(estimator: Any, table: Any, classes: Matrix) -> Matrix:
    """Return the positions of the predicted classes, of an estimator of labels or of positions."""
    import numpy as np

    predicted = np.asarray(estimator.predict(table)).reshape(-1)
    known = getattr(estimator, "classes_", classes)
    place: Matrix = np.searchsorted(np.asarray(known), predicted.astype(np.asarray(known).dtype))
    return place


def _kind(algorithm: str, task: Task) -> Any:
    family = FAMILIES[algorithm]
    if task not in family.classes:
        able = ", ".join(name for name, found in FAMILIES.items() if task in found.classes)
        raise StepError(
            f"{algorithm} does not support {task}", code="wrong-task", hint=f"algorithms for {task}: {able}"
        )
    return getattr(import_module(family.module), family.classes[task])


def _accepted(kind: Any) -> set[str]:
    import inspect

    signature = inspect.signature(kind.__init__).parameters
    named = {name for name, found in signature.items() if found.kind not in (found.VAR_KEYWORD, found.VAR_POSITIONAL)}
    return (named | set(cast("Mapping[str, Any]", kind().get_params()))) - {"self"}


def _folded(name: str) -> str:
    return "".join(sign for sign in str(name).casefold() if sign.isalnum())
