"""Decide whom to treat under a budget, and value the decision on other rows. In: gains and costs. Out: a rule, values.

A rule treats the rows whose priority is above a threshold that the budget sets, and a random part of those that are at
it. The threshold is set on the rows to decide about, so on other rows the rule is fixed and its value is a mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.tools.causal import averages
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.choosing import Budget

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Rule(Struct, frozen=True):
    """Treats rows of a priority above ``threshold``, and the share ``part`` of those at it. None are below 0."""

    threshold: float
    part: float

    def probability(self, priority: Matrix) -> Matrix:
        """Return the probability of each row to be treated, shape (rows,)."""
        import numpy as np

        return np.where(priority > self.threshold, 1.0, np.where(priority == self.threshold, self.part, 0.0))


class Decided(Struct, frozen=True, eq=False):
    """Decisions about rows: ``rank`` from 1, and who is treated, both of shape (rows,)."""

    rank: Matrix
    treat: Matrix
    rule: Rule
    short: bool
    """The budget is too small for all rows that are worth their cost."""


class Valued(Struct, frozen=True):
    """One policy: its share of treated rows, its value, and by how much the chosen policy is better."""

    policy: str
    treated: float
    value: Estimate
    advantage: Estimate


def decide(priority: Matrix, cost: Matrix, budget: Budget, seed: int) -> Decided:
    """Return the decisions: by falling priority, above 0, until the budget is used up. Equal rows in random order."""
    import numpy as np

    rows = len(priority)
    order = np.lexsort([np.random.default_rng(seed).random(rows), -priority])
    spent = np.cumsum(cost[order]) if budget.cost is not None else np.arange(1, rows + 1)
    worth = priority[order] > 0
    affordable = spent <= most(budget, rows)
    count = int(np.minimum.accumulate(worth & affordable).sum())
    rank, treat = np.empty(rows, dtype=int), np.zeros(rows, dtype=bool)
    rank[order] = np.arange(1, rows + 1)
    treat[order[:count]] = True
    threshold, part = (float(priority[order[count - 1]]), 1.0) if count else (float("inf"), 0.0)
    at = priority == threshold
    if at.any():
        part = float(treat[at].mean())
    return Decided(rank, treat, Rule(threshold, part), count < int(worth.sum()))


def most(budget: Budget, rows: int) -> float:
    """Return the most that may be spent on so many rows: a number of rows, or a cost."""
    if budget.cost is not None:
        return budget.cost * (1 + 1e-12)
    if budget.share is not None:
        return float(int(budget.share * rows + 1e-9))
    return float("inf") if budget.rows is None else float(budget.rows)


def values(chosen: Matrix, gains: Matrix, cost: Matrix, groups: Matrix, level: float, *, by_cost: bool) -> list[Valued]:
    """Return the chosen policy and three others, valued on rows whose doubly robust ``gains`` are net of cost.

    The value is the mean of gains of treated rows (Athey and Wager 2021, "Policy learning with observational data",
    Econometrica 89, section 2). ``random`` treats each row with the probability that spends as much.
    """
    import numpy as np

    spent = float((chosen * cost).mean() / cost.mean()) if by_cost else float(chosen.mean())
    rows = len(gains)
    others = {"policy": chosen, "all": np.ones(rows), "random": np.full(rows, spent), "none": np.zeros(rows)}
    return [
        Valued(
            name,
            float(treated.mean()),
            averages.mean(treated * gains, groups, level),
            averages.mean((chosen - treated) * gains, groups, level),
        )
        for name, treated in others.items()
    ]


def priorities(gain: Matrix, cost: Matrix, budget: Budget) -> Matrix:
    """Return the order in which rows are treated: by gain, or by gain for what it costs when the cost is limited.

    The second is the greedy answer to a knapsack (Dantzig 1957). A row that costs nothing comes first.
    """
    import numpy as np

    if budget.cost is None:
        return gain
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = gain / cost
    return np.where(cost > 0, ratio, np.where(gain > 0, np.inf, 0.0))
