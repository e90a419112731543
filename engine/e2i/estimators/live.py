"""Tell and measure the libraries' own estimators. In: a live estimator and rows. Out: its library, a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.catalog.extensible import Source
from e2i.errors import StepError
from e2i.estimators import metrics
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.effect_algorithms import LIVE
from e2i.spec.suggest import nearest

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

RANKING = ("roc_auc", "average_precision")
DECIDING = ("accuracy", "f1", "precision", "recall")


def named(algorithm: str, source: Source | None = None) -> str:
    """Return the registry's spelling of an algorithm: upper and lower case, ``_`` and ``-`` do not matter.

    An algorithm that a plug-in or the settings add to ``source`` is ``Named``. Names of e2i do not ask it. Raises
    StepError for an unknown name, InvalidSpec for a plug-in or a preset that cannot be used.
    """
    folded, known = _folded(algorithm), (*ALGORITHMS, *LIVE)
    for name in known:
        if folded == _folded(name):
            return name
    added = {} if source is None else source.extended("algorithms")
    for name, found in added.items():
        if folded == _folded(name):
            return found
    known = (*known, *sorted(added))
    near = nearest(algorithm, known)
    raise StepError(
        f"there is no algorithm {algorithm!r}",
        code="unknown-algorithm",
        hint=f'did you mean "{near[0]}"?' if near else f"algorithms: {', '.join(known)}, or a callable",
    )


def library_of(estimator: Any) -> str:
    """Return the name of the library that an estimator comes from: ``xgboost``, ``sklearn``, …"""
    known = {"econml", *(algorithm.flavour for algorithm in ALGORITHMS.values())}
    for kind in type(estimator).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in known:
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


def _folded(name: str) -> str:
    return "".join(sign for sign in str(name).casefold() if sign.isalnum())
