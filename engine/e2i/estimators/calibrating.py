"""Fit calibration maps and measure calibration. In: labels and probabilities. Out: a map, figures.

``sigmoid`` is Platt's (1999), on the logit of the probability, with his smoothed targets. ``isotonic`` is Zadrozny and
Elkan's (2002). Both calibrate each of more than two classes against the rest, and divide by the sum. ``temperature`` is
Guo et al.'s (2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from e2i.estimators.deciding import Calibration, CalibrationMap
    from e2i.estimators.encoding import Matrix

Method = Literal["sigmoid", "isotonic", "temperature"]
BINS = 10
"""Most bins of a calibration curve, of about equal numbers of rows."""
FOLDS = 5
"""Parts of the rows: the map that is judged on one was fitted to the others."""
Z = 1.96
"""Standard deviations of a 95 % band."""
NEAREST = 1e-12
"""Least distance from 0 and 1 of which a logit is taken."""
WIDEST = 7.0
"""Logarithm of the largest temperature, and of 1 / the smallest one."""


class Bin(Struct, frozen=True):
    """One point of a calibration curve: mean prediction, observed share with its 95 % band, and rows."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


def fit(labels: Matrix, predicted: Matrix, method: Method) -> Calibration:
    """Return the calibration of probabilities: of the positive of two classes (n,), or of all (n, k).

    ``labels`` (n,) are positions of classes. Each class must have a row.
    """
    nearest = least_distance(predicted)
    if method == "temperature":
        maps: list[CalibrationMap] = [{"slope": 1.0 / _temperature(labels, predicted, nearest)}]
    elif predicted.ndim == 1:
        maps = [_map(labels == 1, predicted, method, nearest)]
    else:
        maps = [_map(labels == k, predicted[:, k], method, nearest) for k in range(predicted.shape[1])]
    return {"method": method, "maps": maps, "nearest": nearest}


def cross_fitted(labels: Matrix, predicted: Matrix, method: Method) -> Matrix:
    """Return probabilities that are calibrated by maps of the other rows: those of a map for its own rows flatter it.

    Rows of each class are dealt out to the parts in turn, so equal input gives equal output.
    """
    import numpy as np

    from e2i.estimators.deciding import calibrated

    order = np.argsort(labels, kind="stable")
    part = np.empty(len(labels), dtype=np.int64)
    part[order] = np.arange(len(labels)) % FOLDS
    found = np.empty_like(predicted, dtype=np.float64)
    for number in range(FOLDS):
        inside = part == number
        found[inside] = calibrated(predicted[inside], fit(labels[~inside], predicted[~inside], method))
    return found


def curve(labels: Matrix, predicted: Matrix, bins: int = BINS) -> list[Bin]:
    """Return the points of a calibration curve, with Wilson's band. Equal predictions are in one point.

    ``labels`` (n,) are 0 and 1, ``predicted`` (n,) probabilities.
    """
    import numpy as np

    order = np.lexsort((labels, predicted))
    labels, predicted = labels[order], predicted[order]
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    number = np.searchsorted(edges, predicted, side="left")
    found = []
    for index in np.unique(number):
        inside = number == index
        count = int(inside.sum())
        share = float(labels[inside].mean())
        middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
        half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
        found.append(Bin(float(predicted[inside].mean()), share, float(middle - half), float(middle + half), count))
    return found


def expected_error(labels: Matrix, predicted: Matrix, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean distance of the curve's points from the diagonal, by rows.

    Bins have about equal numbers of rows (Nixon et al. 2019). For more than two classes the mean over all classes
    (classwise, Kull et al. 2019).
    """
    if predicted.ndim == 1:
        points = curve(labels, predicted, bins)
        return sum(point.rows * abs(point.predicted - point.observed) for point in points) / len(labels)
    classes = range(predicted.shape[1])
    return sum(expected_error((labels == k).astype("int64"), predicted[:, k], bins) for k in classes) / len(classes)


def least_distance(predicted: Matrix) -> float:
    """Return half of the smallest distance of a probability from 0 and 1 that is not 0, as of half a tree's vote."""
    import numpy as np

    distances = np.minimum(predicted, 1.0 - predicted)
    found = float(distances[distances > 0].min(initial=0.5)) / 2
    return max(found, NEAREST)


def _map(positive: Matrix, predicted: Matrix, method: Method, nearest: float) -> CalibrationMap:
    return _isotonic(positive, predicted) if method == "isotonic" else _sigmoid(positive, predicted, nearest)


def _sigmoid(positive: Matrix, predicted: Matrix, nearest: float) -> CalibrationMap:
    """Return slope and intercept of the logit, by maximum likelihood of Platt's targets."""
    import numpy as np
    from scipy.optimize import minimize

    from e2i.estimators.deciding import logits

    count = int(positive.sum())
    high, low = (count + 1) / (count + 2), 1 / (len(positive) - count + 2)
    targets, values = np.where(positive, high, low), logits(predicted, nearest)

    def loss(given: Matrix) -> tuple[float, Matrix]:
        linear = given[0] * values + given[1]
        gap = np.exp(-np.logaddexp(0.0, -linear)) - targets
        total = float(np.mean(np.logaddexp(0.0, linear) - targets * linear))
        return total, np.array([np.mean(gap * values), np.mean(gap)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return {"slope": float(found[0]), "intercept": float(found[1])}


def _isotonic(positive: Matrix, predicted: Matrix) -> CalibrationMap:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(predicted, positive.astype("float64"))
    return {"knots": fitted.X_thresholds_.tolist(), "values": fitted.y_thresholds_.tolist()}


def _temperature(labels: Matrix, predicted: Matrix, nearest: float) -> float:
    """Return the temperature with the least log loss."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    from e2i.estimators.deciding import calibrated

    def loss(logarithm: float) -> float:
        one: CalibrationMap = {"slope": float(np.exp(-logarithm))}
        found = calibrated(predicted, {"method": "temperature", "maps": [one], "nearest": nearest})
        true = np.where(labels == 1, found, 1.0 - found) if found.ndim == 1 else found[np.arange(len(labels)), labels]
        return float(-np.log(true.clip(np.finfo(np.float64).eps)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 1e-9}).x))
