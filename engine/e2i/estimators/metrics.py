"""Compute metrics. In: true labels and predictions. Out: numbers. A metric that is not defined is left out.

Definitions are scikit-learn's. Predictions have the form of ``Scorer.predict``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from typing_extensions import TypeAliasType

from e2i.errors import StepError
from e2i.estimators import ranking
from e2i.estimators.algorithms import Task

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

MetricName = Literal[
    "roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1", "precision", "recall",
    "rmse", "mae", "r2", "mape", "ndcg", "ndcg_at_5", "ndcg_at_10", "map", "mrr",
]  # fmt: skip
"""Metrics that a model can be chosen by. ``prevalence`` describes the rows, not the model.

Of a ranking, the precision in the first places is judged, but says nothing of their order.
"""
MetricChoice = TypeAliasType("MetricChoice", MetricName)
"""The same as the type of a parameter, which the schema defines once."""


DEFAULTS: dict[Task, MetricName] = {"classification": "roc_auc", "regression": "rmse", "ranking": "ndcg"}
"""The metric that models of a task are compared by, unless another one is named."""


class Rows(Struct, frozen=True, eq=False):
    """Input of a metric. ``predicted`` is (n,) or, for more than two classes, (n, k).

    ``decided`` are the predicted classes: by ``threshold`` for two classes, the most probable for more; empty for
    regression.
    """

    labels: Matrix
    predicted: Matrix
    decided: Matrix
    quantile: float | None = None
    """Level of the quantile that a regression predicts."""
    groups: Matrix | None = None
    """The number of each row's query, of a ranking."""

    @property
    def binary(self) -> bool:
        return self.predicted.ndim == 1

    @property
    def one_hot(self) -> Matrix:
        import numpy as np

        matrix: Matrix = (self.labels[:, None] == np.arange(self.predicted.shape[1])).astype(np.int32)
        return matrix


class Metric(Struct, frozen=True):
    """A metric: its task, its better direction, and its function."""

    task: Task
    direction: Literal["maximize", "minimize"]
    compute: Callable[[Rows], float]


def evaluate(
    task: Task, labels: Matrix, predicted: Matrix, *, threshold: float = 0.5, groups: Matrix | None = None
) -> dict[str, float]:
    """Return every metric of the task that is defined for these rows. Averages weigh each class equally.

    ``groups`` (n,) are the queries of a ranking.
    """
    if task == "ranking":
        return ranking.evaluate(labels, predicted, _required(groups))
    rows = rows_of(task, labels, predicted, threshold)
    values = {name: metric.compute(rows) for name, metric in METRICS.items() if metric.task == task}
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def score(
    metric: str, labels: Matrix, predicted: Matrix, *, threshold: float = 0.5, groups: Matrix | None = None
) -> float:
    """Return one metric; NaN where it is not defined. ``groups`` (n,) are the queries of a ranking."""
    found = METRICS[metric]
    return float(found.compute(rows_of(found.task, labels, predicted, threshold, groups=groups)))


def choose(metric: str | None, task: Task) -> str:
    """Return the requested metric, or the task's default. Raises StepError when it belongs to the other task."""
    if metric is None:
        return DEFAULTS[task]
    if METRICS[metric].task != task:
        able = ", ".join(name for name, found in METRICS.items() if found.task == task)
        raise StepError(f"{metric} is not a metric of {task}", code="wrong-metric", hint=f"choose one of {able}")
    return metric


def log_losses(rows: Rows) -> Matrix:
    """Returns -ln p(true class) of each row. As in scikit-learn, p is kept a rounding away from 0."""
    import numpy as np

    if rows.binary:
        likelihood = np.where(rows.labels == 1, rows.predicted, 1.0 - rows.predicted)
    else:
        likelihood = rows.predicted[np.arange(len(rows.labels)), rows.labels]
    losses: Matrix = -np.log(likelihood.clip(np.finfo(np.float64).eps, 1.0))
    return losses


def rows_of(
    task: Task,
    labels: Matrix,
    predicted: Matrix,
    threshold: float = 0.5,
    quantile: float | None = None,
    groups: Matrix | None = None,
) -> Rows:
    """Returns the input of the metrics. ``labels`` (n,) are positions of classes, numbers for regression, or grades of
    a ranking, whose queries are ``groups`` (n,).
    """
    import numpy as np

    if task != "classification":
        return Rows(labels, predicted, np.empty(0), quantile, groups)
    decided = (predicted >= threshold).astype(np.int32) if predicted.ndim == 1 else predicted.argmax(axis=1)
    return Rows(labels, predicted, decided)


def _roc_auc(rows: Rows) -> float:
    from sklearn.metrics import roc_auc_score

    if rows.binary:
        return math.nan if len(set(rows.labels.tolist())) < 2 else float(roc_auc_score(rows.labels, rows.predicted))
    if len(set(rows.labels.tolist())) < rows.predicted.shape[1]:
        return math.nan
    return float(roc_auc_score(rows.one_hot, rows.predicted, average="macro"))


def _average_precision(rows: Rows) -> float:
    from sklearn.metrics import average_precision_score

    if rows.binary:
        return float(average_precision_score(rows.labels, rows.predicted)) if rows.labels.any() else math.nan
    if len(set(rows.labels.tolist())) < rows.predicted.shape[1]:
        return math.nan
    return float(average_precision_score(rows.one_hot, rows.predicted, average="macro"))


def _log_loss(rows: Rows) -> float:
    return float(log_losses(rows).mean())


def _brier(rows: Rows) -> float:
    """Mean squared error of the probability; for more than two classes summed over them (Brier 1950)."""
    if rows.binary:
        return float(((rows.predicted - rows.labels) ** 2).mean())
    return float(((rows.predicted - rows.one_hot) ** 2).sum(axis=1).mean())


def _accuracy(rows: Rows) -> float:
    return float((rows.labels == rows.decided).mean())


def _of_decisions(name: str) -> Callable[[Rows], float]:
    def compute(rows: Rows) -> float:
        """For more than two classes the mean over all classes of the model, undefined when it is for one of them."""
        from sklearn import metrics

        found = getattr(metrics, name)
        if rows.binary:
            return float(found(rows.labels, rows.decided, zero_division=math.nan))
        classes = range(rows.predicted.shape[1])
        return float(found(rows.labels, rows.decided, labels=classes, average=None, zero_division=math.nan).mean())

    return compute


def _prevalence(rows: Rows) -> float:
    return float(rows.labels.mean()) if rows.binary else math.nan


def _rmse(rows: Rows) -> float:
    return math.sqrt(float(((rows.labels - rows.predicted) ** 2).mean()))


def _mae(rows: Rows) -> float:
    return float(abs(rows.labels - rows.predicted).mean())


def _r2(rows: Rows) -> float:
    spread = float(((rows.labels - rows.labels.mean()) ** 2).sum())
    return 1.0 - float(((rows.labels - rows.predicted) ** 2).sum()) / spread if spread > 0.0 else math.nan


def _of_ranking(name: str) -> Callable[[Rows], float]:
    return lambda rows: ranking.evaluate(rows.labels, rows.predicted, _required(rows.groups)).get(name, math.nan)


def _required(groups: Matrix | None) -> Matrix:
    if groups is None:
        raise StepError(
            "rows are ranked within queries, and none are named", code="wrong-metric", hint="use a model of a ranking"
        )
    return groups


def _mape(rows: Rows) -> float:
    if not rows.labels.all():
        return math.nan
    return float(abs((rows.labels - rows.predicted) / rows.labels).mean())


METRICS: dict[str, Metric] = {
    "roc_auc": Metric("classification", "maximize", _roc_auc),
    "average_precision": Metric("classification", "maximize", _average_precision),
    "log_loss": Metric("classification", "minimize", _log_loss),
    "brier": Metric("classification", "minimize", _brier),
    "accuracy": Metric("classification", "maximize", _accuracy),
    "f1": Metric("classification", "maximize", _of_decisions("f1_score")),
    "precision": Metric("classification", "maximize", _of_decisions("precision_score")),
    "recall": Metric("classification", "maximize", _of_decisions("recall_score")),
    "prevalence": Metric("classification", "maximize", _prevalence),
    "rmse": Metric("regression", "minimize", _rmse),
    "mae": Metric("regression", "minimize", _mae),
    "r2": Metric("regression", "maximize", _r2),
    "mape": Metric("regression", "minimize", _mape),
    **{name: Metric("ranking", "maximize", _of_ranking(name)) for name in ranking.NAMES},
}
