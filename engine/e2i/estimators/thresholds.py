"""Choose the threshold of a model of two classes. In: labels, probabilities and an aim. Out: the threshold, a curve.

The curve has a point for each way in which a threshold can divide the rows; its thresholds are half-way between
neighbouring probabilities, and 0.5. A threshold of least cost is that of Elkan (2001), found on the rows themselves
instead of computed from the costs, so it needs no calibrated probabilities and takes costs of each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2i.estimators.encoding import Matrix

Outcome = Literal["tp", "fp", "fn", "tn"]
OUTCOMES: tuple[Outcome, ...] = ("tp", "fp", "fn", "tn")
Decided = Literal["accuracy", "balanced_accuracy", "f1", "precision", "recall", "positive_rate"]
"""Figures of decisions. ``positive_rate`` is the share of the rows that are decided as positive."""
HALF = 0.5


class Curve(Struct, frozen=True, eq=False):
    """Figures for each threshold, ascending: (m,) each. ``cost`` is the mean per row, None without costs."""

    thresholds: Matrix
    figures: Mapping[str, Matrix]
    cost: Matrix | None

    def at(self, place: int) -> dict[str, float]:
        """Return the figures at a threshold that are defined there, with ``cost`` if there are costs."""
        import math

        found = {name: float(values[place]) for name, values in self.figures.items()}
        if self.cost is not None:
            found["cost"] = float(self.cost[place])
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def half(self) -> int:
        """Return the place of the threshold 0.5."""
        import numpy as np

        return int(np.flatnonzero(self.thresholds == HALF)[0])


def curve(labels: Matrix, predicted: Matrix, costs: Mapping[Outcome, Matrix] | None = None) -> Curve:
    """Return the figures of all thresholds. ``labels`` (n,) are 0 and 1, ``costs`` (n,) of each outcome of the row."""
    import numpy as np

    thresholds = _thresholds(predicted)
    order = np.argsort(predicted, kind="stable")
    below = np.searchsorted(predicted[order], thresholds, side="left")  # rows that are decided as negative
    positive = labels[order] == 1
    rows, positives = len(labels), int(positive.sum())
    missed = np.concatenate([[0], np.cumsum(positive)])[below]
    hits, chosen = positives - missed, rows - below
    false, left = chosen - hits, rows - positives
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision = hits / np.float64(positives), hits / chosen.astype(np.float64)
        figures = {
            "accuracy": (hits + left - false) / rows,
            "balanced_accuracy": (recall + (left - false) / np.float64(left)) / 2,
            "f1": 2 * hits / (positives + chosen).astype(np.float64),
            "precision": precision,
            "recall": recall,
            "positive_rate": chosen / rows,
        }
    if costs is None:
        return Curve(thresholds, figures, None)
    as_positive = np.where(labels == 1, costs["tp"], costs["fp"])[order]
    as_negative = np.where(labels == 1, costs["fn"], costs["tn"])[order]
    change = np.concatenate([[0.0], np.cumsum(as_negative - as_positive)])[below]
    return Curve(thresholds, figures, (as_positive.sum() + change) / rows)


def allowed(found: Curve, constraint: Mapping[Decided, str]) -> Matrix:
    """Return at which thresholds all limits are kept, (m,). A limit is ``>=`` or ``<=`` and a number."""
    import operator

    import numpy as np

    inside: Matrix = np.ones(len(found.thresholds), dtype=bool)
    for name, limit in constraint.items():
        kept = operator.ge if limit.startswith(">=") else operator.le
        with np.errstate(invalid="ignore"):
            inside &= kept(found.figures[name], float(limit[2:]))
    return inside


def choose(found: Curve, metric: str | None, allowed: Matrix) -> int:
    """Return the place of the best allowed threshold: of least cost, or with the highest metric. -1: there is none.

    Among equal ones, that nearest to 0.5.
    """
    import numpy as np

    value = -found.cost if metric is None and found.cost is not None else found.figures[metric or "f1"]
    usable = np.flatnonzero(allowed & np.isfinite(value))
    if not len(usable):
        return -1
    best = value[usable].max()
    slack = 1e-12 * max(1.0, abs(float(best)))  # sums of costs differ by their rounding
    equal = usable[value[usable] >= best - slack]
    return int(equal[np.argmin(np.abs(found.thresholds[equal] - HALF))])


def _thresholds(predicted: Matrix) -> Matrix:
    """Return 0.5 and thresholds between neighbouring probabilities, below the lowest and above the highest."""
    import numpy as np

    values = np.unique(predicted)
    between = (values[1:] + values[:-1]) / 2
    between = np.where(between > values[:-1], between, values[1:])  # neighbouring floats have nothing between them
    return np.unique(np.concatenate([[values[0] / 2, (1.0 + values[-1]) / 2, HALF], between]))
