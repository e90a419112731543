"""Look at what an estimate rests on: overlap and balance. In: a question and propensities. Out: figures, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.tools.causal import Estimand, Overlap, OverlapFound
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

IMBALANCE = 0.1
"""Standardised mean difference from which a covariate counts as out of balance (Austin 2009, Stat. in Medicine)."""

SMALL = 0.0005
"""Share below which a percentage with one decimal would read as 0."""


class Balance(Struct, frozen=True, eq=False):
    """Standardised mean differences of treated and untreated rows, of shape (covariates,)."""

    names: tuple[str, ...]
    before: Matrix
    after: Matrix

    @property
    def off(self) -> list[str]:
        """The covariates that weighting leaves out of balance, worst first."""
        order = sorted(range(len(self.names)), key=lambda index: -abs(self.after[index]))
        return [self.names[index] for index in order if abs(self.after[index]) > IMBALANCE]


def inside(found: Nuisances, bounds: Overlap) -> Matrix:
    """Return a mask of the rows whose propensity is within the bounds."""
    mask: Matrix = (found.treatment >= bounds.low) & (found.treatment <= bounds.high)
    return mask


def overlap(question: Question, found: Nuisances, bounds: Overlap, estimand: Estimand) -> OverlapFound:
    """Return how alike the arms are, before any row is left out."""
    within = inside(found, bounds)
    weight, treated = weights(question, found, estimand), question.treatment == 1
    return OverlapFound(
        lowest=float(found.treatment.min()),
        highest=float(found.treatment.max()),
        outside=float(1 - within.mean()),
        trimmed=int((~within).sum()) if bounds.outside == "trim" else 0,
        effective_treated=_effective(weight[treated]),
        effective_control=_effective(weight[~treated]),
    )


def weights(question: Question, found: Nuisances, estimand: Estimand) -> Matrix:
    """Return the weight of each row by its propensity: inverse for the ATE, odds for the ATT."""
    import numpy as np

    treated, propensity = question.treatment == 1, found.treatment
    if estimand == "ATT":
        return np.where(treated, 1.0, propensity / (1 - propensity))
    return np.where(treated, 1 / propensity, 1 / (1 - propensity))


def balance(question: Question, found: Nuisances, estimand: Estimand, *, continuous: bool) -> Balance:
    """Return each covariate's difference between the arms, in standard deviations, before and after weighting.

    The deviation is that of both arms before weighting. For a continuous treatment the figures are correlations of the
    covariate with the treatment, and with what its model leaves of it.
    """
    import numpy as np

    x, given = question.covariates, question.treatment
    if continuous:
        after = given - found.treatment
        return Balance(question.names, _correlations(x, given), _correlations(x, after))
    treated = given == 1
    weight = weights(question, found, estimand)
    spread = np.sqrt((x[treated].var(axis=0) + x[~treated].var(axis=0)) / 2)
    spread = np.where(spread > 0, spread, 1.0)

    def difference(weight: Matrix) -> Matrix:
        found: Matrix = (_mean(x[treated], weight[treated]) - _mean(x[~treated], weight[~treated])) / spread
        return found

    return Balance(question.names, difference(np.ones(question.rows)), difference(weight))


def warnings(
    found: OverlapFound | None, nuisances: Nuisances, balanced: Balance, bounds: Overlap, treatment: str
) -> list[str]:
    """Return what a reader must know before the figure, the gravest first."""
    said = []
    if found is not None and found.outside > 0:
        share = f"{found.outside:.1%}" if found.outside >= SMALL else f"less than {2 * SMALL:.1%}"
        rows = f"{share} of the rows are outside the overlap of {bounds.low:g} to {bounds.high:g}"
        done = {
            "trim": f"; {found.trimmed:,} were left out, so the effect is that on the others",
            "warn": ": the data do not say what would happen to them, and the effect rests on the model there",
        }[bounds.outside]
        said.append(rows + done)
    if nuisances.clipped:
        said.append(
            f"{nuisances.clipped:,} propensities were nearer to 0 or 1 than 0.01, and were moved there: covariates "
            f"almost decide {treatment!r}"
        )
    if balanced.off:
        worst = balanced.off[0]
        value = float(balanced.after[balanced.names.index(worst)])
        more = f" and {len(balanced.off) - 1} more" if len(balanced.off) > 1 else ""
        said.append(f"out of balance after weighting (more than {IMBALANCE:g}): {worst} ({value:+.2f}){more}")
    return said


def weak(instrument: str, strength: float, least: float) -> str:
    """Return the warning of an instrument that hardly changes the treatment."""
    return (
        f"{instrument!r} is a weak instrument: F of the first stage is {strength:.1f}, below {least:g}; the estimate "
        "is biased towards the one without an instrument, and its interval is too narrow. causal.iv has an "
        "interval that holds for weak instruments"
    )


def _effective(weight: Matrix) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def _mean(values: Matrix, weight: Matrix) -> Any:
    return (values * weight[:, None]).sum(axis=0) / weight.sum()


def _correlations(x: Matrix, values: Matrix) -> Matrix:
    import numpy as np

    centred, others = x - x.mean(axis=0), values - values.mean()
    scale = x.std(axis=0) * values.std()
    found: Matrix = (centred * others[:, None]).mean(axis=0) / np.where(scale > 0, scale, 1.0)
    return found
