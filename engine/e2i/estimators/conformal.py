"""Compute conformal quantiles. In: labels, predictions and groups. Out: what ``deciding`` makes intervals and sets of.

Split conformal prediction (Lei et al. 2018) with absolute residuals and, for classes, with 1 minus the probability of
the true class (Sadinle et al. 2019). With two models of quantiles, with the distance outside of their predictions
(conformalised quantile regression, Romano et al. 2019). By group: the quantile of each group is of its own rows
(Mondrian).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2i.estimators.deciding import Conformal, Group
    from e2i.estimators.encoding import Matrix


def fit(scores: Matrix, level: float, by: str | None = None, groups: Matrix | None = None) -> Conformal:
    """Return the quantiles of the rows' scores (n,), for a level.

    A group with fewer rows than ``fewest(level)``, and a missing value, has no quantile of its own.
    """
    import numpy as np

    own: list[Group] = []
    if groups is not None:
        import pandas as pd

        codes, values = pd.factorize(groups, sort=True)
        for code, value in enumerate(values):
            inside = scores[codes == code]
            if len(inside) >= fewest(level):
                own.append(
                    {
                        "value": value if isinstance(value, str) else float(value),
                        "quantile": quantile(inside, level),
                        "rows": len(inside),
                    }
                )
    return {
        "level": level,
        "rows": len(scores),
        "quantile": quantile(np.asarray(scores), level),
        "by": by,
        "groups": own,
    }


def outside(labels: Matrix, lower: Matrix, upper: Matrix) -> Matrix:
    """Return how far each label is outside of the two predictions, (n,); inside: minus the distance to the nearer."""
    import numpy as np

    found: Matrix = np.maximum(np.minimum(lower, upper) - labels, labels - np.maximum(lower, upper))
    return found


def conformity(labels: Matrix, predicted: Matrix) -> Matrix:
    """Return the score of each row, (n,): the absolute residual, or 1 minus the probability of the true class.

    ``predicted`` are as of ``Scorer.predict``, ``labels`` (n,) numbers or positions of classes.
    """
    import numpy as np

    if labels.dtype.kind == "f":
        found: Matrix = np.abs(labels - predicted)
        return found
    if predicted.ndim == 1:
        return 1.0 - np.where(labels == 1, predicted, 1.0 - predicted)
    return 1.0 - predicted[np.arange(len(labels)), labels]


def quantile(scores: Matrix, level: float) -> float:
    """Return the smallest score that at least ceil((n + 1) level) of the n scores do not exceed."""
    import numpy as np

    return float(np.sort(scores)[rank(len(scores), level) - 1])


def fewest(level: float) -> int:
    """Return the smallest number of rows with a quantile of that level."""
    rows = 1
    while rank(rows, level) > rows:
        rows += 1
    return rows


def rank(rows: int, level: float) -> int:
    """Return ceil((n + 1) level), without the rounding of 0.9 * 10 to more than 9."""
    return math.ceil(round((rows + 1) * level, 9))
