"""Rank effect models on the same rows. In: each model's predicted effects, scores. Out: figures and differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.tools.causal import ranking, validating
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.held_out import HeldOut
from e2i.tools.causal.trust import Rank

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

FIGURES: tuple[Rank, ...] = ("autoc", "qini", "score")


class Compared(Struct, frozen=True):
    """One candidate. ``behind`` is by how much the best is better by the chosen figure."""

    name: str
    autoc: Estimate
    qini: Estimate
    score: Estimate
    slope: Estimate | None
    calibration: float
    behind: Estimate


def compare(
    held: HeldOut, predicted: dict[str, Matrix], metric: Rank, groups: int, repeats: int, level: float, seed: int
) -> list[Compared]:
    """Return the candidates, best first. Intervals of differences are of the same half-samples, so they are paired."""
    import numpy as np

    names = list(predicted)

    def figures(rows: Matrix) -> Matrix:
        scores = held.scores[rows]
        return np.concatenate([_figures(predicted[name][rows], scores) for name in names])

    shape = (-1, len(names), len(FIGURES))
    drawn = ranking.half_samples(figures, held.groups, repeats, seed).reshape(shape)
    whole = figures(np.arange(len(held.scores))).reshape(shape)[0]
    chosen = FIGURES.index(metric)
    order = sorted(range(len(names)), key=lambda index: (-whole[index, chosen], names[index]))
    best = order[0]
    average = float(held.scores.mean())
    found = []
    for index in order:
        own = predicted[names[index]]
        autoc, qini, score = (ranking.estimate(whole[index, at], drawn[:, index, at], level) for at in range(3))
        behind = ranking.estimate(
            whole[best, chosen] - whole[index, chosen], drawn[:, best, chosen] - drawn[:, index, chosen], level
        )
        flat = np.ptp(own) == 0  # one effect for all has neither a slope nor groups
        slope = None if flat else validating.slope(held, own, level)
        calibration = validating.calibration(validating.sorted_groups(held, own, groups, level), average)
        found.append(Compared(names[index], autoc, qini, score, slope, calibration, behind))
    return found


def _figures(predicted: Matrix, scores: Matrix) -> Matrix:
    import numpy as np

    return np.asarray([*ranking.areas(predicted, scores), validating.score(scores, predicted)])
