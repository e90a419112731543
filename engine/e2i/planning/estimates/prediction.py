"""Predict what a step takes, from observations of earlier steps of other sizes. Pure.

In: observations, newest first, and a size. Out: a ``Range``: the median, and an interval that holds 90 % of outcomes.

The fit is ``a + b * size`` with a, b ≥ 0, by least squares of relative errors. The outcomes are taken as log-normal
around it. Their spread is that of the observations, mixed with a prior: few observations say little about it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from e2i.planning.estimates.model import Range

MOST = 20
"""Observations that count: the newest."""
DECAY = 0.75
"""Weight of an observation beside that of the next newer one: machines get busier, and less busy."""
DIFFERENT = 1.3
"""Ratio of two sizes from which a dependence on the size can be seen."""
EXPONENT = 0.7
"""Growth with the size while all observations have about one size."""
PRIOR_SPREAD = 0.25
PRIOR_WEIGHT = 3.0
"""Standard deviation of the logarithm, and the number of observations that it counts as."""
LEAST = 1e-3
QUANTILE = 1.6449
"""Of the normal distribution: 5 % lie above."""


class Observation(Struct, frozen=True):
    """What a step of some size took."""

    size: float
    took: float


def predict(observations: Sequence[Observation], size: float | None, least: float = LEAST) -> Range | None:
    """Returns what a step of a size takes; None without observations. Size None: unknown, as the observations.

    ``least``: what is less counts as that much, since differences of such amounts mean nothing.
    """
    seen = [
        Weighted(max(one.size, 1.0), max(one.took, least), DECAY**index)
        for index, one in enumerate(observations[:MOST])
    ]
    if not seen:
        return None
    fitted = _fit(seen, _median([(one.size, one.weight) for one in seen]) if size is None else max(size, 1.0))
    logs = [(math.log(one.took / _fit(seen, one.size)), one.weight) for one in seen]
    centre = _median(logs)
    count = sum(one.weight for one in seen)
    squares = sum(weight * (value - centre) ** 2 for value, weight in logs)
    freedom = count - 1 + PRIOR_WEIGHT
    spread = math.sqrt((squares + PRIOR_WEIGHT * PRIOR_SPREAD**2) / freedom * (1 + 1 / count))
    middle = math.log(fitted) + centre
    reach = _student(freedom) * spread
    return Range(median=math.exp(middle), low=math.exp(middle - reach), high=math.exp(middle + reach))


class Weighted(NamedTuple):
    """An observation, with its weight in the fit."""

    size: float
    took: float
    weight: float


def _fit(seen: Sequence[Weighted], size: float) -> float:
    """Returns the fitted value at a size."""
    smallest, largest = min(one.size for one in seen), max(one.size for one in seen)
    if largest < DIFFERENT * smallest:
        middle = statistics.median(one.size for one in seen)
        grown: float = (size / middle) ** EXPONENT
        return max(LEAST, _median([(one.took, one.weight) for one in seen]) * grown)
    fixed, growth = _line(seen)
    return max(LEAST, fixed + growth * size)


def _line(seen: Sequence[Weighted]) -> tuple[float, float]:
    """Returns a and b ≥ 0 that minimise the weighted sum of ((a + b size) / took - 1)²."""
    aa = sum(one.weight / one.took**2 for one in seen)
    ab = sum(one.weight * one.size / one.took**2 for one in seen)
    bb = sum(one.weight * one.size**2 / one.took**2 for one in seen)
    a1 = sum(one.weight / one.took for one in seen)
    b1 = sum(one.weight * one.size / one.took for one in seen)
    determinant = aa * bb - ab * ab
    if determinant > 1e-9 * aa * bb:
        fixed, growth = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
        if fixed >= 0 and growth >= 0:
            return fixed, growth
    only_fixed, only_growth = a1 / aa, b1 / bb
    left = sum(one.weight * (only_fixed / one.took - 1) ** 2 for one in seen)
    right = sum(one.weight * (only_growth * one.size / one.took - 1) ** 2 for one in seen)
    return (only_fixed, 0.0) if left <= right else (0.0, only_growth)


def _median(values: Sequence[tuple[float, float]]) -> float:
    """Returns the weighted median: half of the weight is below, the value between two is interpolated."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    below, last = 0.0, ordered[0]
    for value, weight in ordered:
        middle = below + weight / 2
        if middle >= half:
            before = below - last[1] / 2
            share = 1.0 if middle <= before or below == 0 else (half - before) / (middle - before)
            return last[0] + share * (value - last[0])
        below, last = below + weight, (value, weight)
    return ordered[-1][0]


def _student(freedom: float) -> float:
    """Returns the 95 % quantile of Student's t distribution.

    By the expansion of Cornish and Fisher (Abramowitz and Stegun, 26.7.5), within 1 % from three degrees on.
    """
    z = QUANTILE
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
