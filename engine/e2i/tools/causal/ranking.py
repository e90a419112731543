"""Measure whether those gain most who are predicted to. In: predicted effects and scores. Out: areas under curves.

Rank-weighted average treatment effects (Yadlowsky, Fleming, Shah, Brunskill, Wager 2025, "Evaluating treatment
prioritization rules via rank-weighted average treatment effects", JASA 120): TOC(u) is the average effect on the share
u with the largest predicted effects, minus that on all. AUTOC is the integral of TOC(u), Qini that of u TOC(u).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from e2i.tools.causal.averages import interval
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

SHARES = 20
"""Points of the curve."""


def areas(predicted: Matrix, scores: Matrix) -> tuple[float, float]:
    """Return AUTOC and Qini. Rows of equal prediction count as in a random order, of which this is the mean."""
    import numpy as np

    ordered = in_order(predicted, scores)
    top = advantages(ordered)
    rows = len(ordered)
    return float(top.mean()), float((top * np.arange(1, rows + 1) / rows).mean())


def advantages(ordered: Matrix) -> Matrix:
    """Return the mean of the first k scores minus that of all, for each k from 1, shape (rows,)."""
    import numpy as np

    found: Matrix = np.cumsum(ordered) / np.arange(1, len(ordered) + 1) - ordered.mean()
    return found


def in_order(predicted: Matrix, scores: Matrix) -> Matrix:
    """Return the scores by falling prediction, the mean of their scores for rows of equal prediction."""
    import numpy as np

    order = np.argsort(-predicted, kind="stable")
    falling, ordered = predicted[order], scores[order]
    starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
    counts = np.diff(np.r_[starts, len(falling)])
    return np.repeat(np.add.reduceat(ordered, starts) / counts, counts)


def curve(predicted: Matrix, scores: Matrix) -> tuple[Matrix, Matrix]:
    """Return shares of rows and TOC at each, both of shape (points,)."""
    import numpy as np

    shares = np.arange(1, SHARES + 1) / SHARES
    last = np.maximum(np.ceil(shares * len(scores)).astype(int), 1) - 1
    return shares, advantages(in_order(predicted, scores))[last]


def half_samples(figures: Callable[[Matrix], Matrix], groups: Matrix, repeats: int, seed: int) -> Matrix:
    """Return figures of random halves of the entities, shape (repeats, figures).

    ``figures`` takes the positions of rows. The standard deviation over halves drawn without replacement is the
    standard error of the figure of all rows (Yadlowsky et al. 2025, section 3; as in R's grf).
    """
    import numpy as np

    random = np.random.default_rng(seed)
    entities, codes = np.unique(groups, return_inverse=True)
    found = []
    for _ in range(repeats):
        chosen = np.zeros(len(entities), dtype=bool)
        chosen[random.permutation(len(entities))[: len(entities) // 2]] = True
        found.append(figures(np.flatnonzero(chosen[codes])))
    return np.asarray(found)


def estimate(value: float, drawn: Matrix, level: float) -> Estimate:
    """Return a figure with its normal interval, from its values on half-samples of shape (repeats,)."""
    return interval(float(value), float(drawn.std(ddof=1)), level)
