"""Compute rates of groups, and how far apart they are. In: rows with predictions, groups, weights. Out: numbers.

Definitions are those of fairlearn 0.15 (``MetricFrame``, ``method="between_groups"``, ``agg="worst_case"``): a
difference is the largest rate minus the smallest one, a ratio the smallest divided by the largest one. Rates of a group
in which they are not defined, such as the true positive rate without a positive row, are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.tools.model.evaluation import Judged

Shape = Literal["binary", "many", "regression"]


class Disparity(Struct, frozen=True):
    """The difference or ratio of rates between groups; of several rates the worst one."""

    rates: tuple[str, ...]
    shapes: tuple[Shape, ...]
    is_ratio: bool = False


DISPARITIES: Mapping[str, Disparity] = {
    "demographic_parity_difference": Disparity(("selection_rate",), ("binary",)),
    "demographic_parity_ratio": Disparity(("selection_rate",), ("binary",), is_ratio=True),
    "equal_opportunity_difference": Disparity(("true_positive_rate",), ("binary",)),
    "equalized_odds_difference": Disparity(("true_positive_rate", "false_positive_rate"), ("binary",)),
    "equalized_odds_ratio": Disparity(("true_positive_rate", "false_positive_rate"), ("binary",), is_ratio=True),
    "precision_difference": Disparity(("precision",), ("binary",)),
    "accuracy_difference": Disparity(("accuracy",), ("binary", "many")),
    "mae_difference": Disparity(("mae",), ("regression",)),
    "mae_ratio": Disparity(("mae",), ("regression",), is_ratio=True),
    "mean_error_difference": Disparity(("mean_error",), ("regression",)),
}


def shape_of(rows: Judged) -> Shape:
    return "regression" if rows.classes is None else "binary" if rows.positive is not None else "many"


def parts(rows: Judged) -> dict[str, tuple[Matrix, Matrix]]:
    """Return each rate as two numbers of a row (n,): a rate is the sum of the first over that of the second."""
    import numpy as np

    one = np.ones(len(rows.labels))
    if rows.classes is None:
        errors = rows.predicted - rows.labels
        return {"mae": (abs(errors), one), "mean_error": (errors, one), "mean_prediction": (rows.predicted, one)}
    decided = rows.measurable().decided
    right = (decided == rows.labels).astype(np.float64)
    if rows.positive is None:
        return {"accuracy": (right, one)}
    label, chosen = rows.labels.astype(np.float64), decided.astype(np.float64)
    return {
        "selection_rate": (chosen, one),
        "true_positive_rate": (chosen * label, label),
        "false_positive_rate": (chosen * (1 - label), 1 - label),
        "precision": (chosen * label, chosen),
        "accuracy": (right, one),
        "prevalence": (label, one),
        "mean_prediction": (rows.predicted, one),
    }


def rates(numbers: Mapping[str, tuple[Matrix, Matrix]], inside: Matrix, weights: Matrix) -> dict[str, Matrix]:
    """Return each rate of each group in each resample (b, g); NaN where it is not defined.

    ``numbers``: as of ``parts``. ``inside`` (n, g) is 1 for rows of a group, ``weights`` (b, n) are those of the rows.
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: (weights @ (above[:, None] * inside)) / (weights @ (below[:, None] * inside))
            for name, (above, below) in numbers.items()
        }


def compare(found: Mapping[str, Matrix], shape: Shape) -> dict[str, Matrix]:
    """Return each disparity of the shape in each resample (b,); NaN with fewer than two groups that can be compared."""
    import numpy as np

    values = {}
    for name, disparity in DISPARITIES.items():
        if shape in disparity.shapes:
            each = np.stack([_apart(found[rate], disparity.is_ratio) for rate in disparity.rates])
            defined = np.isfinite(each).any(axis=0)
            filled = np.where(np.isfinite(each), each, np.inf if disparity.is_ratio else -np.inf)
            worst = filled.min(axis=0) if disparity.is_ratio else filled.max(axis=0)
            values[name] = np.where(defined, worst, np.nan)
    return values


def extremes(found: Mapping[str, Matrix], name: str) -> tuple[int, int] | None:
    """Return the groups with the lowest and the highest rate, by the point estimates (1, g); None if not compared."""
    import numpy as np

    disparity = DISPARITIES[name]
    apart = {rate: _apart(found[rate], disparity.is_ratio)[0] for rate in disparity.rates}
    known = {rate: value for rate, value in apart.items() if np.isfinite(value)}
    if not known:
        return None
    rate = min(known, key=lambda one: known[one] if disparity.is_ratio else -known[one])
    values = found[rate][0]
    return int(np.nanargmin(values)), int(np.nanargmax(values))


def _apart(values: Matrix, is_ratio: bool) -> Matrix:
    """Return the difference or ratio of the extremes of each row of (b, g)."""
    import numpy as np

    finite = np.isfinite(values)
    high = np.where(finite, values, -np.inf).max(axis=1)
    low = np.where(finite, values, np.inf).min(axis=1)
    able = finite.sum(axis=1) > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        apart: Matrix = np.where(able, low / high if is_ratio else high - low, np.nan)
    return apart
