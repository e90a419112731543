"""Estimate a jump at a cutoff. In: running variable, outcome. Out: effect with a robust interval, bandwidth, density.

Local linear regression with the triangular kernel. Bandwidth: Imbens and Kalyanaraman 2012, "Optimal bandwidth choice
for the regression discontinuity estimator", Review of Economic Studies 79. Interval: Calonico, Cattaneo, Titiunik 2014,
"Robust nonparametric confidence intervals", Econometrica 82, with the same bandwidth for the bias: the estimate that
is corrected for its bias is then that of local quadratic regression (their remark 7). Where the cutoff changes the
treatment for some only, the jump of the outcome is divided by that of the treatment (Hahn, Todd, van der Klaauw 2001,
"Identification and estimation of treatment effects with a regression-discontinuity design", Econometrica 69).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal.averages import interval
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

FEWEST = 20
"""Fewest rows on each side of the cutoff."""


class Jump(Struct, frozen=True):
    """A jump at the cutoff, by rows within ``bandwidth``."""

    effect: Estimate
    bandwidth: float
    below: int
    above: int
    first_stage: Estimate | None = None
    """The jump of the treatment, with the standard error of the same regression; None where all are treated."""

    @property
    def first_stage_f(self) -> float | None:
        """F of the cutoff's effect on the treatment."""
        first = self.first_stage
        if first is None or not first.standard_error:
            return None
        return (first.value / first.standard_error) ** 2


def fuzzy(running: Matrix, outcome: Matrix, treatment: Matrix, groups: Matrix, bandwidth: float, level: float) -> Jump:
    """Return the jump of the outcome over that of the treatment, the local Wald estimate.

    It is the effect on those whose treatment the cutoff changes. Its standard error is that of two-stage least squares
    by local quadratic regression. Raises StepError for too few rows, and for a treatment that does not jump at all.
    """
    whole, moved = (jump(running, values, groups, bandwidth, level) for values in (outcome, treatment))
    near = abs(running) < bandwidth
    rows = running[near], groups[near], bandwidth
    slope, error = _local(rows[0], treatment[near], *rows[1:], 1)
    of_outcome, of_treatment = (_local(rows[0], values[near], *rows[1:], 2)[0] for values in (outcome, treatment))
    if not moved.effect.value or not of_treatment:
        raise StepError(
            "the treatment does not jump at the cutoff",
            code="weak-instrument",
            hint="check `cutoff` and `treatment`, or leave `treatment` out where the cutoff decides it for all",
        )
    corrected = of_outcome / of_treatment
    spread = _local(rows[0], outcome[near] - corrected * treatment[near], *rows[1:], 2)[1] / abs(of_treatment)
    bounds = interval(corrected, spread, level)
    value = whole.effect.value / moved.effect.value
    effect = Estimate(value=value, low=bounds.low, high=bounds.high, standard_error=spread)
    return Jump(effect, bandwidth, whole.below, whole.above, interval(slope, error, level))


def jump(running: Matrix, outcome: Matrix, groups: Matrix, bandwidth: float, level: float) -> Jump:
    """Return the jump of the outcome where ``running`` is 0. Raises StepError for too few rows near it."""
    near = abs(running) < bandwidth
    below, above = int((near & (running < 0)).sum()), int((near & (running >= 0)).sum())
    if min(below, above) < FEWEST:
        raise StepError(
            f"within {bandwidth:.4g} of the cutoff are {below} rows below and {above} above it, fewer than {FEWEST}",
            code="few-rows",
            hint="set a larger `bandwidth`, or check `cutoff`",
        )
    value, _ = _local(running[near], outcome[near], groups[near], bandwidth, 1)
    corrected, error = _local(running[near], outcome[near], groups[near], bandwidth, 2)
    found = interval(corrected, error, level)
    return Jump(Estimate(value=value, low=found.low, high=found.high, standard_error=error), bandwidth, below, above)


def _local(running: Matrix, outcome: Matrix, groups: Matrix, bandwidth: float, degree: int) -> tuple[float, float]:
    """Return the jump by a polynomial on each side, and its standard error."""
    import numpy as np
    import statsmodels.api as sm

    above = (running >= 0).astype(float)
    scaled = running / bandwidth
    powers = [scaled**power for power in range(1, degree + 1)]
    design = np.column_stack([np.ones(len(running)), above, *powers, *(above * power for power in powers)])
    model = sm.WLS(outcome, design, weights=1 - abs(scaled))
    alone = len(np.unique(groups)) == len(groups)
    fitted = model.fit(cov_type="HC1") if alone else model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    return float(fitted.params[1]), float(fitted.bse[1])


def bandwidth(running: Matrix, outcome: Matrix) -> float:
    """Return the bandwidth of Imbens and Kalyanaraman 2012, section 4.2, for the triangular kernel."""
    import numpy as np

    rows = len(running)
    low, high = running < 0, running >= 0
    if min(low.sum(), high.sum()) < FEWEST:
        raise StepError(
            f"{int(low.sum())} rows are below the cutoff and {int(high.sum())} above it, fewer than {FEWEST}",
            code="few-rows",
            hint="check `cutoff` and `running`",
        )
    first = 1.84 * float(running.std(ddof=1)) * rows ** (-1 / 5)
    sides = [side & (abs(running) <= first) for side in (low, high)]
    if min(int(side.sum()) for side in sides) < 2:
        raise StepError("no rows are near the cutoff", code="few-rows", hint="set `bandwidth`")
    density = sum(int(side.sum()) for side in sides) / (2 * rows * first)
    variances = [float(outcome[side].var(ddof=1)) for side in sides]
    cubic = np.column_stack([np.ones(rows), high, running, running**2, running**3])
    third = 6 * float(np.linalg.lstsq(cubic, outcome, rcond=None)[0][4])
    curvatures, penalties = [], []
    for side, variance in zip((low, high), variances, strict=True):
        wide = 3.56 * (variance / (density * max(third**2, 1e-300))) ** (1 / 7) * int(side.sum()) ** (-1 / 7)
        wide = min(wide, float(abs(running[side]).max()))
        near = side & (abs(running) <= wide)
        quadratic = np.column_stack([np.ones(int(near.sum())), running[near], running[near] ** 2])
        curvatures.append(2 * float(np.linalg.lstsq(quadratic, outcome[near], rcond=None)[0][2]))
        penalties.append(2160 * variance / (int(near.sum()) * wide**4))
    bend = (curvatures[1] - curvatures[0]) ** 2 + sum(penalties)
    if not bend * density:
        return float(abs(running).max())
    return float(3.4375 * (sum(variances) / (density * bend)) ** (1 / 5) * rows ** (-1 / 5))


class Density(Struct, frozen=True):
    """The jump of the running variable's density at the cutoff, on the scale of logarithms."""

    difference: float
    standard_error: float

    @property
    def ratio(self) -> float:
        """The difference in standard errors."""
        return abs(self.difference) / self.standard_error if self.standard_error else 0.0


def density(running: Matrix) -> Density:
    """Return the jump of the density where ``running`` is 0.

    McCrary 2008, "Manipulation of the running variable in the regression discontinuity design", Journal of
    Econometrics 142: a histogram of bins of 2 sd n^(-1/2) that do not cross the cutoff, smoothed by local linear
    regression on each side; standard error of his equation 5; bandwidth of his section 3.2.
    """
    import numpy as np

    rows = len(running)
    width = 2 * float(running.std(ddof=1)) * rows ** (-1 / 2)
    numbers = np.floor(running / width).astype(int)
    bins = np.arange(numbers.min(), numbers.max() + 1)
    heights = np.bincount(numbers - bins[0], minlength=len(bins)) / (rows * width)
    middles = (bins + 0.5) * width
    sides = (middles < 0, middles >= 0)
    band = float(np.mean([_width(middles[side], heights[side]) for side in sides]))
    below, above = (max(_at_zero(middles[side], heights[side], band), 1e-300) for side in sides)
    error = math.sqrt(24 / 5 / (rows * band) * (1 / below + 1 / above))
    return Density(math.log(above) - math.log(below), error)


def _width(middles: Matrix, heights: Matrix) -> float:
    """Return the rule-of-thumb bandwidth of one side, from a polynomial of degree 4."""
    import numpy as np

    reach = float(np.ptp(middles)) or 1.0
    degree = min(4, max(len(middles) - 2, 1))
    found = np.polynomial.Polynomial.fit(middles, heights, degree)
    left = float(((heights - found(middles)) ** 2).sum()) / max(len(middles) - degree - 1, 1)
    bend = float((found.deriv(2)(middles) ** 2).sum()) if degree > 1 else 0.0
    return min(3.348 * (left * reach / bend) ** (1 / 5), reach) if bend and left else reach


def _at_zero(middles: Matrix, heights: Matrix, band: float) -> float:
    """Return the height of the smoothed histogram at the cutoff, from one side."""
    import numpy as np

    weight = np.sqrt(np.maximum(1 - abs(middles) / band, 0))
    design = np.column_stack([np.ones(len(middles)), middles]) * weight[:, None]
    return float(np.linalg.lstsq(design, heights * weight, rcond=None)[0][0])
