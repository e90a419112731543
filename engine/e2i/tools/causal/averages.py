"""Estimate average effects and their intervals. In: a question and cross-fitted predictions. Out: estimates.

For two arms the average effect is the mean of doubly robust scores, whatever the estimator of the effect's form
(Robins, Rotnitzky, Zhao 1994; as for causal forests in Athey, Tibshirani, Wager 2019, section 4). Their standard error
allows for rows of one entity (Liang and Zeger 1986).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from e2i.tools.causal import Estimate
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


def scores(question: Question, found: Nuisances) -> Matrix:
    """Return the doubly robust score of each row, shape (rows,); their mean is the ATE."""
    treated, propensity = question.treatment, found.treatment
    of_treated: Matrix = treated * (question.outcome - found.treated) / propensity
    of_others: Matrix = (1 - treated) * (question.outcome - found.untreated) / (1 - propensity)
    return found.treated - found.untreated + of_treated - of_others


def ate(question: Question, found: Nuisances, level: float) -> Estimate:
    """Return the average effect on all rows."""
    return mean(scores(question, found), question.groups, level)


def att(question: Question, found: Nuisances, level: float) -> Estimate:
    """Return the average effect on treated rows.

    Scores as in Kennedy 2016 ("Semiparametric theory and empirical processes in causal inference"), section 4: only the
    untreated outcome is modelled.
    """
    treated, propensity = question.treatment, found.treatment
    rest = question.outcome - found.untreated
    share = float(treated.mean())
    one = (treated - (1 - treated) * propensity / (1 - propensity)) * rest / share
    value = float(one.mean())
    influence = one - treated / share * value
    return interval(value, error(influence, question.groups), level)


def naive(question: Question, level: float) -> Estimate:
    """Return the difference of the arms' means without any adjustment; of amounts, the slope of a line."""
    import numpy as np

    centred = question.treatment - question.treatment.mean()
    spread = float((centred**2).mean())
    slope = float((centred * question.outcome).mean() / spread)
    rest = question.outcome - question.outcome.mean() - slope * centred
    return interval(slope, error(np.asarray(centred * rest / spread), question.groups), level)


def mean(values: Matrix, groups: Matrix, level: float) -> Estimate:
    """Return the mean of one value a row, with its interval."""
    value = float(values.mean())
    return interval(value, error(values - value, groups), level)


def error(influence: Matrix, groups: Matrix) -> float:
    """Return the standard error of a mean, from values around 0 of shape (rows,), summed within each entity."""
    import numpy as np

    sums = np.bincount(groups, weights=influence)
    entities = len(np.unique(groups))
    return float(np.sqrt((sums**2).sum() * entities / max(entities - 1, 1)) / len(influence))


def interval(value: float, standard_error: float, level: float) -> Estimate:
    """Return an estimate with its normal interval."""
    half = NormalDist().inv_cdf((1 + level) / 2) * standard_error
    return Estimate(value=value, low=value - half, high=value + half, standard_error=standard_error)


def per_unit(question: Question, found: Nuisances, point: Matrix, level: float) -> Estimate:
    """Return the average effect of one unit more of a continuous treatment; ``point`` are the effects by row.

    The mean of the rows' effects, corrected by what they leave unexplained. The correction takes the variance of the
    treatment around its expectation for constant (Chernozhukov et al. 2018, section 4.1, for one effect).
    """
    surplus: Any = question.treatment - found.treatment
    rest = question.outcome - found.expected - surplus * point
    return mean(point + surplus * rest / float((surplus**2).mean()), question.groups, level)
