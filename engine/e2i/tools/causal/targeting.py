"""Find the rule of ``causal.policy``: the priority of any row. In: a model or scored rows. Out: priorities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators.effects import Effects
from e2i.tools.causal import policies, policy_tree
from e2i.tools.causal.choosing import PolicyParams
from e2i.tools.causal.held_out import HeldOut

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

STEPS = 12
"""Halvings of the price of a treatment that a tree is learned with, so that it uses the budget."""


class Target(Struct, frozen=True, eq=False):
    """The priority of any row, and what it is for readers: the groups of a tree with their gains."""

    priority: Callable[[pd.DataFrame], Matrix]
    groups: tuple[tuple[str, float], ...] = ()
    """Groups of a tree in words, with the gain per row, or per unit of cost under a budget of cost."""


def sign(params: PolicyParams) -> float:
    """Return 1 where a larger outcome is better, otherwise -1."""
    return 1.0 if params.direction == "maximize" else -1.0


def costs(frame: pd.DataFrame, params: PolicyParams) -> Matrix:
    """Return what treating each row costs, shape (rows,). Raises StepError for a column that is no cost."""
    import numpy as np

    from e2i.estimators import schema

    if not isinstance(params.cost, str):
        return np.full(len(frame), float(params.cost))
    if params.cost not in frame.columns:
        message = f"the table has no column {params.cost!r}, the cost"
        raise StepError(message, code="unknown-column", hint="each table needs it")
    cost = schema.labels(frame, params.cost, None)
    if not (cost >= 0).all():
        raise StepError(f"the cost {params.cost!r} is below 0 in {int((cost < 0).sum())} rows", code="bad-cost")
    return cost


def greedy(model: Effects, params: PolicyParams) -> Target:
    """Return the priority by predicted effect net of cost."""

    def priority(frame: pd.DataFrame) -> Matrix:
        cost = costs(frame, params)
        gain: Matrix = sign(params) * model.effect(frame)[0] - cost
        return policies.priorities(gain, cost, params.budget)

    return Target(priority)


def tree(model: Effects, learned: HeldOut, table: pd.DataFrame, params: PolicyParams) -> Target:
    """Return the priority by the group of a tree, which is learned from doubly robust scores.

    A price of treatment is added to the cost until the tree treats no more rows of ``table`` than the budget allows
    (the multiplier of Lagrange of the budget). Raises StepError when no split leaves two groups that are large enough.
    """
    import numpy as np

    cost = costs(learned.frame, params)
    gains = sign(params) * learned.scores - cost
    use = cost if params.budget.cost is not None else np.ones(len(gains))
    splits = policy_tree.candidates(learned.frame, model.manifest.features)
    masks = np.column_stack([split.mask(learned.frame) for split in splits] or [np.ones(len(gains))]).astype(float)
    fewest = max(2, int(params.min_group * len(gains)))
    spending = costs(table, params) if params.budget.cost is not None else np.ones(len(table))
    most = policies.most(params.budget, len(table))

    def at(price: float) -> tuple[policy_tree.Tree, dict[int, float], float]:
        found = policy_tree.learn(masks, splits, gains - price * use, params.depth, fewest)
        if found is None:
            raise StepError(
                "no split by the effect modifiers leaves two groups that are large enough",
                code="same-effect",
                hint="estimate with `effect_modifiers`, or set `min_group` lower",
            )
        own = found.groups(learned.frame)
        totals = {int(group): (gains[own == group].sum(), use[own == group].sum()) for group in np.unique(own)}
        worth = {group: float(gain / max(used, 1e-300)) for group, (gain, used) in totals.items()}
        treated = np.isin(found.groups(table), [group for group, value in worth.items() if value > price])
        return found, worth, float(spending[treated].sum())

    found, worth, spent = at(0.0)
    low, high = 0.0, float(np.abs(gains).max() / max(float(use[use > 0].min(initial=1.0)), 1e-12))
    for _ in range(STEPS if spent > most else 0):
        middle = (low + high) / 2
        other = at(middle)
        if other[2] > most:
            low, (found, worth, spent) = middle, other
        else:
            high = middle
    return Target(
        lambda frame: np.asarray([worth.get(int(group), -np.inf) for group in found.groups(frame)]),
        tuple((found.words(group), value) for group, value in sorted(worth.items(), key=lambda one: -one[1])),
    )
