"""Estimate average effects and their intervals. In: a question and cross-fitted predictions. Out: estimates.

For two arms the average effect is the mean of doubly robust scores, whatever the estimator of the effect's form
(Robins, Rotnitzky, Zhao 1994; as for causal forests in Athey, Tibshirani, Wager 2019, section 4). Their standard error
allows for rows of one entity (Liang and Zeger 1986).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

from e2i.tools.causal import Estimand, Estimate
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

WEAKEST = 0.025
"""Least covariance of an instrument of two values with the treatment that a row is divided by: that of a tenth who
comply, when half get it.
"""


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


def weighted(question: Question, found: Nuisances, level: float, estimand: Estimand) -> Estimate:
    """Return the difference of the arms' means, weighted by the propensity (Hajek's ratio, stabilised weights).

    The standard error takes the propensities for known, which makes it too large for the ATE rather than too small
    (Lunceford and Davidian 2004, "Stratification and weighting via the propensity score", Statistics in Medicine 23).
    """
    import numpy as np

    treated, propensity = question.treatment == 1, found.treatment
    if estimand == "ATT":
        weight = np.where(treated, 1.0, propensity / (1 - propensity))
    else:
        weight = np.where(treated, 1 / propensity, 1 / (1 - propensity))
    value, influence = 0.0, np.zeros(question.rows)
    for arm, sign in ((treated, 1), (~treated, -1)):
        share = weight * arm
        mean = float((share * question.outcome).sum() / share.sum())
        value += sign * mean
        influence += sign * share * (question.outcome - mean) / float(share.mean())
    return interval(value, error(influence, question.groups), level)


def instrumented(question: Question, found: Nuisances, point: Matrix, level: float) -> Estimate:
    """Return the average effect by an instrument; ``point`` are the effects by row, of shape (rows,).

    With the compliance known by row: the mean of scores of Syrgkanis et al. 2019 ("Machine learning estimation of
    heterogeneous treatment effects with instruments"), whose divisor is kept from 0. Otherwise the mean of the rows'
    effects, corrected by what they leave unexplained, see ``corrected``.
    """
    assert question.instrument is not None and found.instrument is not None
    pushed = question.instrument - found.instrument
    if found.moved is None:
        return corrected(question, found, point, pushed, level)
    treatment = question.treatment - found.treatment
    rest = question.outcome - found.expected - treatment * point
    return mean(point + pushed * rest / driven(found), question.groups, level)


def driven(found: Nuisances) -> Matrix:
    """Return the covariance of instrument and treatment of each row, kept ``WEAKEST`` from 0, of shape (rows,)."""
    import numpy as np

    assert found.moved is not None and found.instrument is not None
    share = found.instrument.clip(0.01, 0.99)
    covariance = found.moved * share * (1 - share)
    direction = np.where(covariance.mean() >= 0, 1.0, -1.0)
    kept: Matrix = direction * np.maximum(direction * covariance, WEAKEST)
    return kept


def first_stage(question: Question, found: Nuisances) -> float | None:
    """Return the F statistic of the instrument's effect on the treatment, both without what covariates explain."""
    import numpy as np

    if question.instrument is None or found.instrument is None:
        return None
    pushed, treatment = question.instrument - found.instrument, question.treatment - found.treatment
    spread = float((pushed**2).mean())
    if not spread:
        return 0.0
    slope = float((pushed * treatment).mean()) / spread
    deviation = error(np.asarray(pushed * (treatment - slope * pushed) / spread), question.groups)
    return (slope / deviation) ** 2 if deviation else 0.0


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
    """Return the average effect of one unit more of a continuous treatment; ``point`` are the effects by row."""
    return corrected(question, found, point, question.treatment - found.treatment, level)


def corrected(question: Question, found: Nuisances, point: Matrix, pushed: Matrix, level: float) -> Estimate:
    """Return the mean of the rows' effects, corrected by what they leave unexplained of what ``pushed`` explains.

    A row is weighed by the function of the modifiers, linear in them, whose product with the effect's moment has the
    mean of the effects (Chernozhukov, Newey, Singh 2022, "Automatic debiased machine learning of causal and structural
    effects", Econometrica 90). For effects that are linear themselves the correction is 0, and the standard error that
    of their coefficients (Wooldridge 2010, section 5.2.5), also where some rows' treatments vary more than others'.
    """
    import numpy as np

    surplus = question.treatment - found.treatment
    rest = question.outcome - found.expected - surplus * point
    columns = np.column_stack([np.ones(question.rows), question.modifiers])
    cross = columns.T @ (columns * (pushed * surplus)[:, None]) / question.rows
    weight = columns @ (np.linalg.pinv(cross, hermitian=True) @ columns.mean(axis=0))
    return mean(point + weight * pushed * rest, question.groups, level)
