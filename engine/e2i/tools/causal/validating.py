"""Judge an effect model on rows that it has not seen. In: predicted effects, scores. Out: figures with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal import averages, ranking
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.held_out import HeldOut

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Group(Struct, frozen=True):
    """Rows of similar predicted effects, and their average effect (sorted group average treatment effects, GATES)."""

    rows: int
    predicted: float
    effect: Estimate


class Point(Struct, frozen=True):
    """The share of rows with the largest predicted effects, and how much more they gain than all."""

    share: float
    advantage: Estimate


class Validated(Struct, frozen=True):
    """Figures of one model; see ``ValidateOutputs``."""

    average: Estimate
    predicted: float
    slope: Estimate
    autoc: Estimate
    qini: Estimate
    calibration: float
    score: float
    groups: tuple[Group, ...]
    curve: tuple[Point, ...]


def validate(held: HeldOut, predicted: Matrix, groups: int, repeats: int, level: float, seed: int) -> Validated:
    """Return the figures. ``predicted`` are the model's effects, shape (rows,). Raises StepError when all are equal."""
    import numpy as np

    scores = held.scores
    if np.ptp(predicted) == 0:
        raise StepError(
            "the model has the same effect for all rows, so there are no differences to judge",
            code="same-effect",
            hint="estimate with `effect_modifiers`",
        )
    found = sorted_groups(held, predicted, groups, level)
    average = averages.mean(scores, held.groups, level)
    shares, advantage = ranking.curve(predicted, scores)

    def figures(rows: Matrix) -> Matrix:
        one, two = predicted[rows], scores[rows]
        return np.asarray([*ranking.areas(one, two), *ranking.curve(one, two)[1]])

    drawn = ranking.half_samples(figures, held.groups, repeats, seed)
    autoc, qini = ranking.areas(predicted, scores)
    points = [
        Point(float(share), ranking.estimate(value, drawn[:, 2 + index], level))
        for index, (share, value) in enumerate(zip(shares, advantage, strict=True))
    ]
    return Validated(
        average,
        float(predicted.mean()),
        slope(held, predicted, level),
        ranking.estimate(autoc, drawn[:, 0], level),
        ranking.estimate(qini, drawn[:, 1], level),
        calibration(found, average.value),
        score(scores, predicted),
        found,
        tuple(points),
    )


def slope(held: HeldOut, predicted: Matrix, level: float) -> Estimate:
    """Return the slope of the best linear predictor of the effect by the predicted one.

    Chernozhukov, Demirer, Duflo, Fernández-Val 2018, "Generic machine learning inference on heterogeneous treatment
    effects", section 3, by regression of doubly robust scores (Semenova and Chernozhukov 2021).
    """
    import numpy as np
    import statsmodels.api as sm

    design = np.column_stack([np.ones(len(predicted)), predicted - predicted.mean()])
    alone = len(np.unique(held.groups)) == len(held.groups)
    model = sm.OLS(held.scores, design)
    fitted = model.fit(cov_type="HC1") if alone else model.fit(cov_type="cluster", cov_kwds={"groups": held.groups})
    return averages.interval(float(fitted.params[1]), float(fitted.bse[1]), level)


def sorted_groups(held: HeldOut, predicted: Matrix, groups: int, level: float) -> tuple[Group, ...]:
    """Return the groups by rising predicted effect. Rows of equal prediction are in one group.

    Their average effects are means of doubly robust scores (GATES: Chernozhukov et al. 2018, section 3).
    """
    import numpy as np

    bounds = np.unique(np.quantile(predicted, np.arange(1, groups) / groups))
    codes = np.searchsorted(bounds, predicted, side="left")
    found = []
    for code in np.unique(codes):
        own = codes == code
        effect = averages.mean(held.scores[own], held.groups[own], level)
        found.append(Group(int(own.sum()), float(predicted[own].mean()), effect))
    return tuple(found)


def calibration(groups: tuple[Group, ...], average: float) -> float:
    """Return 1 minus the groups' mean distance from their prediction, over that from the average effect.

    Dwivedi et al. 2020, "Stable discovery of interpretable subgroups via calibration", as in EconML's DRTester.
    """
    import numpy as np

    weight = np.asarray([group.rows for group in groups], dtype=float)
    effect = np.asarray([group.effect.value for group in groups])
    away = weight @ np.abs(effect - [group.predicted for group in groups])
    whole = weight @ np.abs(effect - average)
    return float(1 - away / whole) if whole else 0.0


def score(scores: Matrix, predicted: Matrix) -> float:
    """Return the share of the scores' variance that the predicted effects explain (a DR-score; below 0: harmful)."""
    spread = float(((scores - scores.mean()) ** 2).mean())
    return float(1 - ((scores - predicted) ** 2).mean() / spread) if spread else 0.0


def warnings(found: Validated) -> list[str]:
    """Return what a reader must know before the figures."""
    said = []
    slope, average = found.slope, found.average
    if found.autoc.low <= 0:
        said.append(
            f"these rows do not show that the model ranks rows by their effect: AUTOC {found.autoc.value:.3g} "
            f"({found.autoc.low:.3g} to {found.autoc.high:.3g})"
        )
    if slope.high < 1 or slope.low > 1:
        how = "smaller" if slope.high < 1 else "larger"
        said.append(
            f"differences of effects are {how} than predicted: slope {slope.value:.2f} ({slope.low:.2f} to "
            f"{slope.high:.2f}, 1 if as predicted)"
        )
    if not average.low <= found.predicted <= average.high:
        said.append(
            f"the predicted effects average {found.predicted:.3g}, and these rows have {average.value:.3g} "
            f"({average.low:.3g} to {average.high:.3g})"
        )
    return said
