"""Compare the arms of an experiment. In: outcomes, arms, what was known before. Out: differences, sizes, looks."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal import averages, sequences
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

FEWEST = 5
"""Fewest entities of each arm at a look."""


class Look(Struct, frozen=True):
    """What one look shows: the estimate with the interval that holds at every look."""

    entities: int
    effect: Estimate

    @property
    def decided(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.effect.low <= 0 <= self.effect.high


def difference(outcome: Matrix, treatment: Matrix, groups: Matrix, level: float) -> Estimate:
    """Return the difference of the arms' means; its error allows for rows of one entity."""
    treated = treatment == 1
    share = float(treated.mean())
    high, low = float(outcome[treated].mean()), float(outcome[~treated].mean())
    influence = treated * (outcome - high) / share - ~treated * (outcome - low) / (1 - share)
    return averages.interval(high - low, averages.error(influence, groups), level)


def adjusted(outcome: Matrix, treatment: Matrix, covariates: Matrix) -> Matrix:
    """Return the outcome without what covariates from before explain of it, shape (rows,).

    CUPED (Deng, Xu, Kohavi, Walker 2013, "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data"), with the coefficients within arms.
    """
    import numpy as np

    centred = covariates - covariates.mean(axis=0)
    design = np.column_stack([np.ones(len(outcome)), treatment, centred])
    slopes = np.linalg.lstsq(design, outcome, rcond=None)[0][2:]
    found: Matrix = outcome - centred @ slopes
    return found


def mismatch(treatment: Matrix, groups: Matrix, share: float) -> float:
    """Return the p-value of the share of treated entities (sample ratio mismatch; Fabijan et al. 2019)."""
    import numpy as np
    from scipy.stats import chisquare

    first = np.unique(groups, return_index=True)[1]
    treated, entities = float(treatment[first].sum()), len(first)
    return float(chisquare([treated, entities - treated], [share * entities, (1 - share) * entities]).pvalue)


def imbalance(covariate: Matrix, treatment: Matrix, groups: Matrix) -> float:
    """Return the p-value of a covariate's difference between the arms, two-sided.

    Its standard error is the larger of those with the arms' own variance and with their common one. For a value that
    is too rare for a normal distribution the test is Fisher's, of the entities that have it.
    """
    import numpy as np
    from scipy.stats import fisher_exact, t

    treated, share = treatment == 1, float((treatment == 1).mean())
    high, low = float(covariate[treated].mean()), float(covariate[~treated].mean())
    arms = [np.unique(groups[treated]), np.unique(groups[~treated])]
    sizes = [len(arm) for arm in arms]
    if len(np.unique(covariate)) <= 2:
        middle = (covariate.max() + covariate.min()) / 2
        rare = covariate > middle if covariate.mean() < middle else covariate <= middle
        having = np.unique(groups[rare])
        if len(having) * min(sizes) < FEWEST * sum(sizes):
            counts = [len(np.intersect1d(arm, having)) for arm in arms]
            others = [size - count for size, count in zip(sizes, counts, strict=True)]
            return float(fisher_exact([counts, others]).pvalue)
    weights = treated / share - ~treated / (1 - share)
    own = weights * (covariate - np.where(treated, high, low))
    common = weights * (covariate - covariate.mean())
    error = max(averages.error(own, groups), averages.error(common, groups))
    away = abs(high - low)
    return float(2 * t.sf(away / error, min(sizes) - 1)) if away > 0 and error > 0 else 1.0


def looks(
    outcome: Matrix,
    treatment: Matrix,
    covariates: Matrix | None,
    groups: Matrix,
    ends: list[int],
    planned: int,
    level: float,
) -> list[Look]:
    """Return the looks at the first rows up to each end, in order. Looks at too few rows are left out."""
    import numpy as np

    estimates, counts = [], []
    for end in ends:
        own, arms, entities = outcome[:end], treatment[:end], groups[:end]
        by_arm = [len(np.unique(entities[arms == arm])) for arm in (0, 1)]
        if min(by_arm) < FEWEST:
            continue
        values = own if covariates is None else adjusted(own, arms, covariates[:end])
        estimates.append(difference(values, arms, entities, level))
        counts.append(sum(by_arm))
    found = sequences.sequence(estimates, np.asarray(counts), planned, level)
    return [Look(count, one) for count, one in zip(counts, found, strict=True)]


def variance(outcome: Matrix, groups: Matrix) -> float:
    """Return the variance of the mean times the number of entities."""
    import numpy as np

    return averages.error(outcome - outcome.mean(), groups) ** 2 * len(np.unique(groups))


def size(spread: float, effect: float, share: float, power: float, level: float) -> int:
    """Return the entities of both arms with which a true effect is found with a probability of ``power``.

    (z(1 - alpha/2) + z(power))^2 v / (p (1 - p) effect^2), for a variance v of an entity and a share p of treated ones
    (Cohen 1988, section 2.4, for the normal distribution).
    """
    return math.ceil(_quantiles(power, level) ** 2 * spread / (share * (1 - share) * effect**2))


def detectable(spread: float, entities: float, share: float, power: float, level: float) -> float:
    """Return the smallest effect that so many entities find with a probability of ``power``."""
    return _quantiles(power, level) * math.sqrt(spread / (share * (1 - share) * entities))


def _quantiles(power: float, level: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)


def check_entities(treatment: Matrix, groups: Matrix, name: str) -> None:
    """Raise StepError when an entity is in both arms."""
    import numpy as np

    both = np.intersect1d(groups[treatment == 0], groups[treatment == 1])
    if len(both):
        raise StepError(
            f"{len(both)} entities of {name!r} are in both arms",
            code="bad-group",
            hint="an entity is assigned to one arm; leave `group` out when rows were",
        )
