"""Compute metrics that describe a model more closely: of more than two classes, and of a quantile. Out: numbers.

They are no metrics to choose a model by. Definitions are scikit-learn's: ``average="micro"`` and ``"weighted"``,
``top_k_accuracy_score``, ``mean_pinball_loss``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from e2i.estimators.metrics import METRICS, Metric, Rows

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

TOP = (2, 3, 5)
"""A row counts when its class is among so many most probable ones. Of models with more classes than that."""


def describe(rows: Rows) -> dict[str, float]:
    """Return the metrics that are defined: for more than two classes, or for regression with ``rows.quantile``."""
    if rows.groups is not None:
        return {}
    is_regression = not rows.decided.size and rows.predicted.ndim == 1
    if is_regression:
        found = {} if rows.quantile is None else {"pinball": _pinball(rows), "share_below": _below(rows)}
    else:
        found = {} if rows.binary else _of_many(rows)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def top(rows: Rows, count: int) -> Matrix:
    """Return for each row whether its class is among the ``count`` most probable ones (n,)."""
    import numpy as np

    order = np.argsort(rows.predicted, axis=1, kind="stable")[:, ::-1]
    inside: Matrix = (order[:, :count] == rows.labels[:, None]).any(axis=1)
    return inside


def pinball_losses(rows: Rows) -> Matrix:
    """Return the quantile loss of each row (Koenker and Bassett 1978): q·d above the prediction, (q - 1)·d below."""
    import numpy as np

    quantile = rows.quantile or 0.0
    errors = rows.labels - rows.predicted
    losses: Matrix = np.maximum(quantile * errors, (quantile - 1) * errors)
    return losses


def tops(rows: Rows) -> tuple[int, ...]:
    """Return the counts of ``TOP`` that are smaller than the number of classes."""
    return tuple(count for count in TOP if count < rows.predicted.shape[1])


def _of_many(rows: Rows) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    classes, one_hot = range(rows.predicted.shape[1]), rows.one_hot
    return {
        "f1_weighted": float(
            f1_score(rows.labels, rows.decided, labels=classes, average="weighted", zero_division=0.0)
        ),
        "roc_auc_micro": float(roc_auc_score(one_hot, rows.predicted, average="micro")),
        "average_precision_micro": float(average_precision_score(one_hot, rows.predicted, average="micro")),
        **{f"top_{count}_accuracy": float(top(rows, count).mean()) for count in tops(rows)},
    }


def _pinball(rows: Rows) -> float:
    return float(pinball_losses(rows).mean())


def _below(rows: Rows) -> float:
    return float((rows.labels <= rows.predicted).mean())


def _one(name: str) -> Callable[[Rows], float]:
    return lambda rows: describe(rows).get(name, math.nan)


DETAILS: Mapping[str, Metric] = {
    **{
        name: Metric("classification", "maximize", _one(name))
        for name in ("f1_weighted", "roc_auc_micro", "average_precision_micro")
    },
    **{f"top_{count}_accuracy": Metric("classification", "maximize", _one(f"top_{count}_accuracy")) for count in TOP},
    "pinball": Metric("regression", "minimize", _one("pinball")),
    "share_below": Metric("regression", "maximize", _one("share_below")),
}
JUDGED: Mapping[str, Metric] = {**METRICS, **DETAILS}
"""Every metric of model.evaluate."""
