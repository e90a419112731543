"""Estimate an effect by instruments. In: arrays. Out: two-stage least squares, the first stage, robust intervals."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal.averages import interval
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Instrumented(Struct, frozen=True):
    """See ``IvOutputs``. ``overidentified``: statistic of Sargan's test with its degrees of freedom, if any."""

    effect: Estimate
    naive: Estimate
    first_stage_f: float
    robust: tuple[float | None, float | None]
    overidentified: tuple[float, int] | None


def estimate(
    outcome: Matrix, treatment: Matrix, instruments: Matrix, covariates: Matrix, groups: Matrix, level: float
) -> Instrumented:
    """Return the estimates. ``instruments`` and ``covariates`` have shape (rows, columns).

    The covariates and a constant are partialled out of all others (Frisch, Waugh, Lovell). Standard errors allow for
    unequal variances, or for rows of one entity; formulas as in Wooldridge 2010, "Econometric analysis of cross
    section and panel data", chapter 5. Raises StepError for instruments that do not vary.
    """
    import numpy as np

    y, t, z = _left(covariates, outcome, treatment, instruments)
    used = int(np.linalg.matrix_rank(np.column_stack([np.ones(len(y)), covariates])))
    if np.linalg.matrix_rank(z) < z.shape[1] or not (t**2).sum():
        raise StepError(
            "an instrument or the treatment does not vary, or follows from the others and the confounders",
            code="no-variation",
            hint="remove that instrument",
        )
    first = np.linalg.lstsq(z, t, rcond=None)[0]
    fitted = z @ first
    if not (fitted**2).sum():
        raise StepError("the instruments do not change the treatment at all", code="weak-instrument")
    value = float((fitted @ y) / (fitted @ fitted))
    error = _error(fitted, y - value * t, groups, used + 1)
    slope = float((t @ y) / (t @ t))
    variance = _covariance(z, t - fitted, groups, used + z.shape[1])
    strength = float(first @ np.linalg.solve(variance, first)) / z.shape[1]
    robust: tuple[float | None, float | None] = (None, None)
    if z.shape[1] == 1:
        robust = anderson_rubin(y, t, z[:, 0], groups, used + 1, level)
    extra = z.shape[1] - 1
    return Instrumented(
        interval(value, error, level),
        interval(slope, _error(t, y - slope * t, groups, used + 1), level),
        strength,
        robust,
        (_sargan(y - value * t, z), extra) if extra else None,
    )


def anderson_rubin(
    y: Matrix, t: Matrix, z: Matrix, groups: Matrix, used: int, level: float
) -> tuple[float | None, float | None]:
    """Return the bounds of the effects that the instrument does not reject; None where there is no bound.

    The effect b is not rejected when the slope of y - b t on the instrument is not different from 0: a quadratic
    inequality in b (Anderson and Rubin 1949; Andrews, Stock, Sun 2019, section 5).
    """
    import numpy as np

    spread = float(z @ z)
    slopes = np.asarray([z @ y, z @ t]) / spread
    rest = np.column_stack([y, t]) - z[:, None] * slopes
    scores = _sums(z[:, None] * rest, groups)
    covariance = scores.T @ scores / spread**2 * _correction(len(z), used, groups)
    limit = NormalDist().inv_cdf((1 + level) / 2) ** 2
    a = slopes[1] ** 2 - limit * covariance[1, 1]
    b = -2 * (slopes[0] * slopes[1] - limit * covariance[0, 1])
    c = slopes[0] ** 2 - limit * covariance[0, 0]
    inside = b**2 - 4 * a * c
    if a <= 0 or inside < 0:  # the instrument is so weak that nothing, or only a middle part, is rejected
        return None, None
    half = math.sqrt(inside)
    return float((-b - half) / (2 * a)), float((-b + half) / (2 * a))


def _left(covariates: Matrix, outcome: Matrix, treatment: Matrix, instruments: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return what a constant and the covariates leave of each."""
    import numpy as np

    design = np.column_stack([np.ones(len(outcome)), covariates])
    whole = np.column_stack([outcome, treatment, instruments])
    rest = whole - design @ np.linalg.lstsq(design, whole, rcond=None)[0]
    small = abs(rest).max(axis=0) < 1e-9 * np.maximum(abs(whole).max(axis=0), 1e-300)
    rest[:, small] = 0.0
    return rest[:, 0], rest[:, 1], rest[:, 2:]


def _error(regressor: Matrix, rest: Matrix, groups: Matrix, used: int) -> float:
    return math.sqrt(float(_covariance(regressor[:, None], rest, groups, used)[0, 0]))


def _covariance(design: Matrix, rest: Matrix, groups: Matrix, used: int) -> Matrix:
    """Return the covariance of slopes that allows for unequal variances (HC1), or for rows of one entity."""
    import numpy as np

    bread = np.linalg.inv(design.T @ design)
    scores = _sums(design * rest[:, None], groups)
    found: Matrix = bread @ (scores.T @ scores) @ bread * _correction(len(rest), used, groups)
    return found


def _sums(scores: Matrix, groups: Matrix) -> Matrix:
    import numpy as np

    return np.column_stack([np.bincount(groups, weights=column) for column in scores.T])


def _correction(rows: int, used: int, groups: Matrix) -> float:
    import numpy as np

    entities = len(np.unique(groups))
    alone = 1.0 if entities == rows else entities / (entities - 1) * (rows - 1) / rows
    return alone * rows / max(rows - used, 1)


def _sargan(rest: Matrix, instruments: Matrix) -> float:
    """Return the number of rows times the share of the residuals that the instruments explain (Sargan 1958)."""
    import numpy as np

    explained = instruments @ np.linalg.lstsq(instruments, rest, rcond=None)[0]
    return float(len(rest) * (explained @ explained) / (rest @ rest))
