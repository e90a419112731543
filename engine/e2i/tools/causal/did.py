"""Compare changes of treated and untreated units. In: outcomes by unit and period. Out: effects by group and time.

Group-time average effects as in Callaway and Sant'Anna 2021, "Difference-in-differences with multiple time periods",
Journal of Econometrics 225, without covariates: each group of units that is treated from the same period is compared
with units that are not treated yet, over the change since the period before its treatment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal.averages import interval
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

Controls = Literal["not_yet", "never"]


class Panel(Struct, frozen=True, eq=False):
    """Outcomes of shape (units, periods), the period from which each unit is treated, and its cluster."""

    outcome: Matrix
    first: Matrix
    """Shape (units,); the number of periods for units that are never treated."""
    clusters: Matrix

    @property
    def periods(self) -> int:
        return int(self.outcome.shape[1])


class Cell(Struct, frozen=True, eq=False):
    """The effect on a group in a period, with the influence of each unit on it, shape (units,)."""

    group: int
    period: int
    effect: float
    influence: Matrix


class Aggregate(Struct, frozen=True, eq=False):
    """A weighted mean of cells, with the influence of each unit on it."""

    effect: Estimate
    influence: Matrix


def cells(panel: Panel, controls: Controls) -> list[Cell]:
    """Return the effect of each group and period but its base, by group and period. Raises StepError without any."""
    import numpy as np

    found = []
    for group in sorted(int(one) for one in np.unique(panel.first) if 0 < one < panel.periods):
        own = panel.first == group
        for period in range(panel.periods):
            base = group - 1
            if period == base:
                continue
            latest = max(period, base)
            others = panel.first >= panel.periods if controls == "never" else (panel.first > latest) & ~own
            if own.sum() < 2 or others.sum() < 2:
                continue
            change = panel.outcome[:, period] - panel.outcome[:, base]
            treated, untreated = float(change[own].mean()), float(change[others].mean())
            influence = own * (change - treated) / own.mean() - others * (change - untreated) / others.mean()
            found.append(Cell(group, period, treated - untreated, influence))
    if not any(one.period >= one.group for one in found):
        raise StepError(
            "no period has two treated units or more, and two that are not treated yet",
            code="few-rows",
            hint="check `treatment` and `time`, or set `controls: not_yet`",
        )
    return found


def left_out(panel: Panel, found: Sequence[Cell]) -> dict[int, list[int]]:
    """Return the treated periods without a cell, by group."""
    import numpy as np

    compared = {(one.group, one.period) for one in found}
    groups = sorted(int(one) for one in np.unique(panel.first) if 0 < one < panel.periods)
    absent = {
        group: [period for period in range(group, panel.periods) if (group, period) not in compared] for group in groups
    }
    return {group: periods for group, periods in absent.items() if periods}


def aggregate(panel: Panel, chosen: Sequence[Cell], level: float) -> Aggregate:
    """Return the mean of cells, each weighted by the size of its group.

    That the sizes are estimates too is a part of the influence (Callaway and Sant'Anna 2021, section 4.2).
    """
    import numpy as np

    members = np.stack([panel.first == one.group for one in chosen]).astype(float)
    sizes = members.mean(axis=1)
    total = sizes.sum()
    effects = np.asarray([one.effect for one in chosen])
    value = float(effects @ sizes / total)
    influence = np.stack([one.influence for one in chosen]).T @ sizes / total
    away = members - sizes[:, None]
    influence = influence + effects @ away / total - value * away.sum(axis=0) / total
    return Aggregate(interval(value, _error(influence, panel.clusters), level), influence)


def by_event(panel: Panel, found: Sequence[Cell], level: float) -> dict[int, Aggregate]:
    """Return the effect by periods since the treatment; below -1: before it, where there should be none."""
    events = sorted({one.period - one.group for one in found})
    return {
        event: aggregate(panel, [one for one in found if one.period - one.group == event], level) for event in events
    }


def by_group(panel: Panel, found: Sequence[Cell], level: float) -> dict[int, Aggregate]:
    """Return the average effect on each group over its periods of treatment."""
    after = [one for one in found if one.period >= one.group]
    groups = sorted({one.group for one in after})
    return {group: aggregate(panel, [one for one in after if one.group == group], level) for group in groups}


def overall(panel: Panel, found: Sequence[Cell], level: float) -> Aggregate:
    """Return the average effect over all treated units and periods."""
    return aggregate(panel, [one for one in found if one.period >= one.group], level)


def pre_trend(panel: Panel, events: Iterable[Aggregate]) -> float | None:
    """Return the p-value of all effects before the treatment being 0; None without such periods, or with few units.

    Hotelling's test (1931), with the number of entities of the smallest group: Wald's finds too much in few units.
    """
    import numpy as np
    from scipy.stats import f

    before = list(events)
    if not before:
        return None
    values = np.asarray([one.effect.value for one in before])
    sums = np.column_stack([np.bincount(panel.clusters, weights=one.influence) for one in before])
    covariance = sums.T @ sums / len(panel.first) ** 2
    statistic = float(values @ np.linalg.pinv(covariance) @ values)
    rank = int(np.linalg.matrix_rank(covariance))
    fewest = min(len(np.unique(panel.clusters[panel.first == one])) for one in np.unique(panel.first))
    if fewest <= rank:
        return None
    return float(f.sf(statistic * (fewest - rank) / (rank * (fewest - 1)), rank, fewest - rank))


def two_way(panel: Panel, level: float) -> Estimate:
    """Return the coefficient of the treatment in a regression with an effect of each unit and of each period.

    With several groups whose effects change over time it is no average of effects (Goodman-Bacon 2021).
    """
    import numpy as np

    import e2i.tools.causal.averages as averages

    treated = (np.arange(panel.periods) >= panel.first[:, None]).astype(float)
    x, y = _centred(treated), _centred(panel.outcome)
    spread = float((x**2).sum())
    value = float((x * y).sum() / spread)
    scores = (x * (y - value * x)).sum(axis=1) / spread * len(panel.first)
    return interval(value, averages.error(scores, panel.clusters), level)


def _centred(values: Matrix) -> Matrix:
    found: Matrix = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    return found


def _error(influence: Matrix, clusters: Matrix) -> float:
    import numpy as np

    sums = np.bincount(clusters, weights=influence)
    return float(np.sqrt((sums**2).sum()) / len(influence))
