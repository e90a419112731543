"""Bootstrap intervals of metrics, and the metrics of a constant answer. In: labels and predictions. Out: numbers.

Percentile bootstrap (Efron 1979): rows are drawn with replacement, whole groups where rows of one group belong
together, such as the days or the customers of a table. A resample is a weight for each row, so that all metrics of many
resamples are computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from e2i.estimators import details, metrics, ranking
from e2i.estimators.algorithms import Task
from e2i.estimators.metrics import Rows
from e2i.estimators.one_thread import one_thread

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

Interval = tuple[float, float]
RESAMPLES = 1_000
"""Resamples for tables of up to ``WORK / RESAMPLES`` rows; larger tables, whose intervals are narrow, get fewer."""
FEWEST = 200
ROUNDING = 1e-4
"""Relative difference between two metrics that is none: models compute in 32 bits."""
HIGHER = ("accuracy", "ndcg")
"""Metrics beside a constant answer that are better when they are higher."""
WORK = 20_000_000
BLOCK = 4_000_000
"""Weights in memory at once, 8 bytes each."""


def bootstrap(
    task: Task,
    labels: Matrix,
    predicted: Matrix,
    *,
    threshold: float = 0.5,
    quantile: float | None = None,
    queries: Matrix | None = None,
    level: float = 0.95,
    groups: Matrix | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """Returns the interval of each metric that is defined in at least nine of ten resamples. ``queries`` (n,) are those
    of a ranking, which are drawn as wholes.

    ``groups`` (n,) are integers from 0; null: each row is drawn by itself. Equal input and seed give equal intervals.
    """
    rows = metrics.rows_of(task, labels, predicted, threshold, quantile, queries)
    found = {name: interval(values, level) for name, values in draws(rows, groups=groups, seed=seed).items()}
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def draws(rows: Rows, *, groups: Matrix | None = None, seed: int = 0) -> dict[str, Matrix]:
    """Returns each metric in each resample (r,); NaN where it is not defined.

    With ``groups``, equal groups and an equal seed draw equal resamples, also for other predictions: then differences
    between models are paired.
    """
    import numpy as np

    if rows.groups is not None:
        return _of_queries(rows, rows.groups, groups, seed)
    if rows.predicted.ndim == 1:  # ranking metrics need this order, which then costs one sort in all
        order = np.argsort(-rows.predicted, kind="stable")
        decided = rows.decided[order] if rows.decided.size else rows.decided
        rows = Rows(rows.labels[order], rows.predicted[order], decided, rows.quantile)
        groups = None if groups is None else groups[order]
    with one_thread():
        drawn = [_weighted(rows, weights) for weights in resamples(len(rows.labels), groups, seed)]
    return {name: np.concatenate([block[name] for block in drawn]) for name in drawn[0]}


def _of_queries(rows: Rows, queries: Matrix, groups: Matrix | None, seed: int) -> dict[str, Matrix]:
    """Returns each metric of a ranking in each resample of its queries, or of the groups of their first rows."""
    import numpy as np

    found = ranking.per_query(rows.labels, rows.predicted, queries)
    first = np.unique(queries, return_index=True)[1]
    units = None if groups is None else np.unique(groups[first], return_inverse=True)[1]
    names = [name for name, values in found.items() if np.isfinite(values).any()]
    defined = np.column_stack([np.isfinite(found[name]) for name in names]).astype(np.float64)
    values = np.column_stack([np.nan_to_num(found[name]) for name in names])
    with one_thread(), np.errstate(divide="ignore", invalid="ignore"):
        drawn = [(weights @ values) / (weights @ defined) for weights in resamples(len(first), units, seed)]
    means = np.concatenate(drawn)
    return {name: means[:, place] for place, name in enumerate(names)}


def interval(values: Matrix, level: float) -> Interval | None:
    """Returns the percentile interval of resampled values; None when fewer than nine of ten are defined."""
    import numpy as np

    defined = values[np.isfinite(values)]
    if not len(values) or len(defined) < 0.9 * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def of_means(
    values: Mapping[str, Matrix], *, level: float, groups: Matrix | None = None, seed: int = 0
) -> dict[str, Interval]:
    """Returns the interval of the mean of each array, (n,). ``groups`` and ``seed``: as of ``bootstrap``."""
    import numpy as np

    if not values:
        return {}
    table = np.column_stack([np.ones(len(next(iter(values.values())))), *values.values()])
    with one_thread():
        sums = np.concatenate([weights @ table for weights in resamples(len(table), groups, seed)])
    found = {name: interval(sums[:, place] / sums[:, 0], level) for place, name in enumerate(values, start=1)}
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def baseline(
    task: Task, labels: Matrix, answer: Matrix | float, *, threshold: float = 0.5, queries: Matrix | None = None
) -> dict[str, float]:
    """Returns the metrics of a constant answer: the training mean, or the training shares of the classes (k,). Of a
    ranking with these ``queries``, they are those of a random order.
    """
    import numpy as np

    shares = np.asarray(answer, dtype=np.float64)
    binary = shares.shape == (2,)
    constant = shares[1] if binary else shares
    predicted = np.broadcast_to(constant, (len(labels), *np.shape(constant))).copy()
    return metrics.evaluate(task, labels, predicted, threshold=threshold, groups=queries)


def worse(measured: Mapping[str, float], constant: Mapping[str, float]) -> list[str]:
    """Returns the metrics in which a model is worse than a constant answer. Areas of curves cannot be compared so."""
    return [
        name
        for name in ("log_loss", "brier", "accuracy", "rmse", "mae", "ndcg")
        if name in measured
        and name in constant
        and (constant[name] - measured[name]) * (1 if name in HIGHER else -1) > ROUNDING * abs(constant[name])
    ]


def resamples(count: int, groups: Matrix | None, seed: int) -> Iterator[Matrix]:
    """Yields weights of rows, (resamples, n), in blocks."""
    import numpy as np

    random = np.random.default_rng(seed)
    units = count if groups is None else int(groups.max()) + 1
    total = max(FEWEST, min(RESAMPLES, WORK // max(count, 1)))
    size = max(1, BLOCK // max(count, units))
    for start in range(0, total, size):
        drawn = random.integers(0, units, (min(size, total - start), units))
        offsets = np.arange(len(drawn))[:, None] * units
        weights = np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        yield weights if groups is None else weights[:, groups]


def _weighted(rows: Rows, weights: Matrix) -> dict[str, Matrix]:
    """Returns each metric for each row of ``weights`` (b, n), as (b,). NaN where it is not defined."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        if not rows.decided.size and rows.predicted.ndim == 1:
            return _of_numbers(rows, weights)
        return {
            "roc_auc": _per_class(rows, weights, _auc),
            "average_precision": _per_class(rows, weights, _average_precision),
            **_of_classes(rows, weights),
            **({} if rows.binary else _of_many(rows, weights)),
        }


def _of_numbers(rows: Rows, weights: Matrix) -> dict[str, Matrix]:
    import numpy as np

    true, errors = rows.labels, rows.labels - rows.predicted
    centred = true - true.mean()
    relative = abs(errors / true) if true.all() else np.full(len(errors), math.nan)
    sums = weights @ np.column_stack([np.ones(len(true)), errors**2, abs(errors), relative, centred, centred**2])
    total, squares, sizes, shares, offsets, spreads = sums.T
    spread = spreads - offsets**2 / total
    quantile = {}
    if rows.quantile is not None:
        columns = np.column_stack([details.pinball_losses(rows), true <= rows.predicted])
        losses, below = (weights @ columns).T / total
        quantile = {"pinball": losses, "share_below": below}
    return {
        "rmse": np.sqrt(squares / total),
        "mae": sizes / total,
        "r2": 1.0 - squares / np.where(spread > 0, spread, math.nan),
        "mape": shares / total,
        **quantile,
    }


def _of_classes(rows: Rows, weights: Matrix) -> dict[str, Matrix]:
    """Returns the metrics that are sums over rows. f1, precision and recall are of the positive class, or the mean
    over all classes.
    """
    import numpy as np

    classes = [1] if rows.binary else list(range(rows.predicted.shape[1]))
    squares = (rows.predicted - (rows.labels if rows.binary else rows.one_hot)) ** 2
    true = [rows.labels == label for label in classes]
    chosen = [rows.decided == label for label in classes]
    hits = [one & other for one, other in zip(true, chosen, strict=True)]
    plain = [np.ones(len(rows.labels)), metrics.log_losses(rows), squares if rows.binary else squares.sum(axis=1)]
    sums = (weights @ np.column_stack([*plain, rows.labels == rows.decided, *true, *chosen, *hits])).T
    total, log_loss, brier, right = sums[:4]
    trues, choices, hit = sums[4:].reshape(3, len(classes), -1)
    return {
        "log_loss": log_loss / total,
        "brier": brier / total,
        "accuracy": right / total,
        "f1": (2 * hit / (trues + choices)).mean(axis=0),
        "precision": (hit / choices).mean(axis=0),
        "recall": (hit / trues).mean(axis=0),
    }


def _of_many(rows: Rows, weights: Matrix) -> dict[str, Matrix]:
    """Returns the metrics of ``details`` for more than two classes."""
    import numpy as np

    count = rows.predicted.shape[1]
    true, chosen = rows.one_hot, rows.decided[:, None] == np.arange(count)
    trues, choices, hits = weights @ true, weights @ chosen, weights @ (true * chosen)
    total = weights.sum(axis=1)
    f1 = np.nan_to_num(2 * hits / (trues + choices))
    labels, predicted = true.ravel(), rows.predicted.ravel()
    order = np.argsort(-predicted, kind="stable")
    labels, predicted, places = labels[order], predicted[order], order // count
    size = max(1, BLOCK // max(len(labels), 1))
    parts = [slice(start, start + size) for start in range(0, len(weights), size)]

    def micro(ranking: Ranking) -> Matrix:
        return np.concatenate([ranking(labels, predicted, weights[part][:, places]) for part in parts])

    return {
        "f1_weighted": (trues * f1).sum(axis=1) / total,
        "roc_auc_micro": micro(_auc),
        "average_precision_micro": micro(_average_precision),
        **{f"top_{k}_accuracy": weights @ details.top(rows, k) / total for k in details.tops(rows)},
    }


Ranking = Callable[["Matrix", "Matrix", "Matrix"], "Matrix"]
"""Takes labels (n,) of 0 and 1, predictions (n,) and weights (b, n). Returns a metric (b,)."""


def _per_class(rows: Rows, weights: Matrix, ranking: Ranking) -> Matrix:
    import numpy as np

    if rows.binary:
        return ranking(rows.labels, rows.predicted, weights)
    one_hot = rows.one_hot
    found = [ranking(one_hot[:, k], rows.predicted[:, k], weights) for k in range(rows.predicted.shape[1])]
    mean: Matrix = np.stack(found).mean(axis=0)
    return mean


def _auc(labels: Matrix, predicted: Matrix, weights: Matrix) -> Matrix:
    """Returns the area under the ROC curve; a pair with equal predictions counts one half."""
    positives, negatives = _by_prediction(labels, predicted, weights)
    before = negatives.cumsum(axis=1) - negatives  # of those with a higher prediction
    area: Matrix = (positives * (before + negatives / 2)).sum(axis=1)
    share: Matrix = area / (positives.sum(axis=1) * negatives.sum(axis=1))
    return 1.0 - share


def _average_precision(labels: Matrix, predicted: Matrix, weights: Matrix) -> Matrix:
    """Returns the sum of precisions, each weighted by the gain in recall (no interpolation)."""
    import numpy as np

    positives, negatives = _by_prediction(labels, predicted, weights)
    hits = positives.cumsum(axis=1)
    chosen = hits + negatives.cumsum(axis=1)
    precision = np.where(chosen > 0, hits / chosen, 0.0)
    average: Matrix = (positives * precision).sum(axis=1) / hits[:, -1]
    return average


def _by_prediction(labels: Matrix, predicted: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    """Returns the weights of positive and negative rows for each distinct prediction, (b, d), the highest first."""
    import numpy as np

    if (predicted[1:] > predicted[:-1]).any():
        order = np.argsort(-predicted, kind="stable")
        labels, predicted, weights = labels[order], predicted[order], weights[:, order]
    positives = weights * labels
    starts = np.flatnonzero(np.r_[True, predicted[1:] != predicted[:-1]])
    if len(starts) < len(predicted):
        weights = np.add.reduceat(weights, starts, axis=1)
        positives = np.add.reduceat(positives, starts, axis=1)
    return positives, weights - positives
