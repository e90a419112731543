"""Apply what was fitted after training: calibration, threshold, conformal quantiles, and how models are combined.

In: predictions of models, and fitted numbers. Out: probabilities, decisions, bounds.

This module is self-contained, and is copied unchanged beside ``scoring`` into every Bento and MLflow model. It needs
NumPy only. ``calibrating``, ``thresholds``, ``conformal`` and ``ensembles`` compute the numbers.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

Matrix = np.ndarray[Any, np.dtype[Any]]

HALF = 0.5
"""The threshold of a model for which none was chosen."""


class CalibrationMap(TypedDict):
    """How the probability of one class is calibrated. Which entries it has depends on the method."""

    slope: NotRequired[float]
    intercept: NotRequired[float]
    knots: NotRequired[list[float]]
    """Probabilities, ascending; ``values`` are the calibrated ones. Straight lines lie between them."""
    values: NotRequired[list[float]]


class Calibration(TypedDict):
    """How probabilities are calibrated: one map for the positive of two classes, or one for each of more classes.

    ``temperature`` has one map for all classes, whose slope is 1 / temperature.
    """

    method: Literal["sigmoid", "isotonic", "temperature"]
    maps: list[CalibrationMap]
    nearest: float
    """Probabilities nearer to 0 or 1 count as this far from it: those of a forest may be exactly 0, without a logit."""


class Group(TypedDict):
    """The rows in which the feature ``by`` has this value. ``rows``: how many the quantile was computed from."""

    value: str | float
    quantile: float
    rows: int


class Conformal(TypedDict):
    """Quantiles of the conformity scores: absolute residuals, or 1 minus the probability of the true class.

    With ``method`` cqr, how far the truth is outside of the predictions of two more models, negative inside. They are
    in the folders ``lower`` and ``upper`` of the model.
    """

    method: NotRequired[Literal["cqr"]]
    level: float
    rows: int
    quantile: float
    """The quantile of all rows, for rows of no group that is listed."""
    by: str | None
    groups: list[Group]


class Mixture(TypedDict):
    """How the predictions of several models are combined, as the file of an ensemble holds it.

    ``average``: their weighted mean. ``stack``: a linear model of them, for classes one of their logits, or of the
    logarithms of their probabilities of more than two classes.
    """

    method: Literal["average", "stack"]
    weights: NotRequired[list[float]]
    """One for each model, of the sum 1."""
    coefficients: NotRequired[list[list[float]]]
    """A row for each input, the classes of the first model first; a column for each output."""
    intercepts: NotRequired[list[float]]
    nearest: NotRequired[float]
    """Probabilities nearer to 0 or 1 count as this far from it; only that of models of classes."""


def combined(predicted: Matrix, mixture: Mixture) -> Matrix:
    """Return the predictions of an ensemble, (n,) or (n, k), from those of its models, (n, m) or (n, m, k).

    Added up one by one: the last digit of a matrix product depends on the number of rows.
    """
    if mixture["method"] == "average":
        mean = sum(weight * predicted[:, place] for place, weight in enumerate(mixture["weights"]))
        return np.clip(mean, predicted.min(axis=1), predicted.max(axis=1))
    inputs = stacked(predicted, mixture.get("nearest"))
    linear = np.tile(np.asarray(mixture["intercepts"]), (len(inputs), 1))
    for place, coefficients in enumerate(mixture["coefficients"]):
        linear += inputs[:, [place]] * np.asarray(coefficients)
    if predicted.ndim == 3:
        return _softmax(linear)
    return linear[:, 0] if "nearest" not in mixture else _sigmoid(linear[:, 0])


def stacked(predicted: Matrix, nearest: float | None) -> Matrix:
    """Return the inputs of a linear model of predictions, (n, inputs). ``nearest``: as of ``Mixture``, for classes."""
    if nearest is None:
        return predicted
    if predicted.ndim == 2:
        return logits(predicted, nearest)
    found: Matrix = np.log(predicted.clip(nearest, 1.0)).reshape(len(predicted), -1)
    return found


def calibrated(predicted: Matrix, calibration: Calibration) -> Matrix:
    """Return calibrated probabilities: of the positive of two classes (n,), or of all (n, k), which add up to 1."""
    method, maps, nearest = calibration["method"], calibration["maps"], calibration["nearest"]
    if predicted.ndim == 1:
        return _mapped(predicted, method, maps[0], nearest)
    if method == "temperature":
        return _softmax(np.log(predicted.clip(nearest, 1.0)) * maps[0]["slope"])
    found = np.column_stack([_mapped(predicted[:, k], method, one, nearest) for k, one in enumerate(maps)])
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1.0), 1.0 / found.shape[1])


def logits(probabilities: Matrix, nearest: float) -> Matrix:
    """Return ln(p / (1 - p)), of probabilities that are kept so far from 0 and 1."""
    kept = probabilities.clip(nearest, 1.0 - nearest)
    found: Matrix = np.log(kept) - np.log1p(-kept)
    return found


def decided(predicted: Matrix, threshold: float = HALF) -> Matrix:
    """Return the position of each row's class: by the threshold for two classes, the most probable one of more."""
    if predicted.ndim == 1:
        return (predicted >= threshold).astype(np.int64)
    found: Matrix = predicted.argmax(axis=1)
    return found


def quantiles(groups: Matrix | None, conformal: Conformal, rows: int) -> Matrix:
    """Return the quantile for each row, (n,). ``groups`` (n,) are the values of the feature ``by``."""
    found = np.full(rows, conformal["quantile"])
    for group in conformal["groups"] if groups is not None else ():
        found[groups == group["value"]] = group["quantile"]
    return found


def interval(predicted: Matrix, quantile: Matrix) -> tuple[Matrix, Matrix]:
    """Return the bounds of a regression's interval: the prediction minus and plus the quantile."""
    return predicted - quantile, predicted + quantile


def widened(lower: Matrix, upper: Matrix, quantile: Matrix) -> tuple[Matrix, Matrix]:
    """Return the bounds of an interval between two predictions, in order, that is wider by the quantile at both ends.

    By a negative quantile it is narrower, at most to its middle.
    """
    low, high = np.minimum(lower, upper), np.maximum(lower, upper)
    middle = (low + high) / 2
    return np.minimum(low - quantile, middle), np.maximum(high + quantile, middle)


def prediction_set(predicted: Matrix, quantile: Matrix) -> Matrix:
    """Return which classes are in the set of each row, (n, k): those with a probability of at least 1 - quantile."""
    shares = np.column_stack([1.0 - predicted, predicted]) if predicted.ndim == 1 else predicted
    found: Matrix = 1.0 - shares <= quantile[:, None]
    return found


def _mapped(probabilities: Matrix, method: str, one: CalibrationMap, nearest: float) -> Matrix:
    if method == "isotonic":
        found: Matrix = np.interp(probabilities, one["knots"], one["values"])
        return found
    return _sigmoid(one["slope"] * logits(probabilities, nearest) + one.get("intercept", 0.0))


def _sigmoid(values: Matrix) -> Matrix:
    found: Matrix = np.exp(-np.logaddexp(0.0, -values))
    return found


def _softmax(values: Matrix) -> Matrix:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    found: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return found
