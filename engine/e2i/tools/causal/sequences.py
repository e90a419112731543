"""Look at an experiment while it runs without being fooled. In: means so far. Out: intervals that hold at every look.

Confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 52): the truth is within all of them together with the stated
probability, however often one looks and whenever one stops.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


def sequence(values: list[Estimate], counts: Matrix, planned: int, level: float) -> list[Estimate]:
    """Return the intervals of estimates from so many entities each, tightest when ``planned`` entities are reached.

    Section 2 there: for a mean with standard error s of n values, the half width is
    s sqrt(2 (n r^2 + 1) / (n r^2) log(sqrt(n r^2 + 1) / alpha)).
    """
    alpha, tuning = 1 - level, tuned(planned, 1 - level)
    found = []
    for one, count in zip(values, counts, strict=True):
        scale = float(count) * tuning
        half = one.standard_error * math.sqrt(2 * (scale + 1) / scale * math.log(math.sqrt(scale + 1) / alpha))
        found.append(one.model_copy(update={"low": one.value - half, "high": one.value + half}))
    return found


def tuned(planned: int, alpha: float) -> float:
    """Return r^2 for which the interval is tightest after so many entities (their appendix B.2)."""
    logs = -2 * math.log(alpha)
    return (logs + math.log(logs + 1)) / planned
