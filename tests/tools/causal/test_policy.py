"""``causal.policy``: close to the best policy under the same budget, and valued without bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, policies, policy_tree
from e2i.tools.causal.choosing import Budget, PolicyOutputs


def decide(ctx: LocalContext, model: Any, table: pd.DataFrame, held_out: pd.DataFrame, **given: Any) -> PolicyOutputs:
    params = {"model": model, "table": ctx.table(table), "held_out": ctx.table(held_out), **given}
    return actions.policy(BUILT_IN.validate("causal.policy", params), ctx)


def best(true: pd.Series[float], cost: float, count: int) -> float:
    """The gain of the best policy that treats so many rows."""
    return float(np.sort((true - cost).clip(lower=0))[::-1][:count].sum())


@pytest.mark.parametrize("method", ["greedy", "tree"])
def test_the_policy_reaches_nine_tenths_of_the_best_one(ctx: LocalContext, method: str) -> None:
    learned, table, cost = data(1500), data(1500, 1), 0.8
    more = {"learn_from": ctx.table(learned)} if method == "tree" else {}
    model = ask(ctx, learned).model
    found = decide(ctx, model, table, data(1500, 2), cost=cost, budget={"share": 0.3}, method=method, **more)
    decisions = ctx.frame(found.decisions)
    gained = float((table["true"] - cost)[decisions["treat"]].sum())
    assert found.treated == 450 and found.spent == pytest.approx(450 * cost)
    assert gained >= 0.9 * best(table["true"], cost, 450)
    assert found.value.low < gained / 1500 < found.value.high and found.advantage.low > 0
    chosen = ctx.frame(found.chosen)
    assert list(chosen["rank"]) == list(range(1, 451)) and "treat" not in chosen
    values = ctx.frame(found.values).set_index("policy")
    assert values.loc["all", "value_low"] < (table["true"] - cost).mean() < values.loc["all", "value_high"]
    assert values.loc["none", "value"] == 0 and values.loc["random", "treated"] == pytest.approx(0.3, abs=0.05)
    words = found.rules[0]
    assert words.startswith("rows whose predicted effect net of cost is at least" if method == "greedy" else "")
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "Treating 450 of 1,500 rows gains" in page and words.split(" is at least")[0] in page


def test_a_budget_of_cost_goes_to_the_rows_with_the_most_gain_for_it(ctx: LocalContext) -> None:
    r = np.random.default_rng(3)
    learned, table, held_out = (data(1000, seed).assign(price=r.uniform(0.1, 2, 1000)) for seed in (0, 1, 2))
    model = ask(ctx, learned).model
    found = decide(ctx, model, table, held_out, cost="price", budget={"cost": 200.0})
    treat = ctx.frame(found.decisions)["treat"]
    assert 198 < found.spent <= 200
    gain = table["true"] - table["price"]
    order = (gain / table["price"]).sort_values(ascending=False).index
    affordable = order[table["price"][order].cumsum() <= 200]
    assert gain[treat].sum() >= 0.9 * gain[affordable].clip(lower=0).sum()


def test_nobody_is_treated_where_it_does_not_pay(ctx: LocalContext) -> None:
    model = ask(ctx, data(600)).model
    found = decide(ctx, model, data(600, 1), data(600, 2), cost=20)
    assert found.treated == 0 and found.value.value == 0 and found.rules == ["nobody: no row is worth its cost"]
    turned = decide(ctx, model, data(600, 1), data(600, 2), direction="minimize")
    lowest = ctx.frame(turned.chosen)["predicted_effect"]
    assert turned.treated < 200 and (lowest < 0).all() and lowest.is_monotonic_increasing
    with pytest.raises(StepError, match="cost 'size' is below 0 in"):
        decide(ctx, model, data(600, 1), data(600, 2), cost="size")


def test_equal_rows_share_the_budget_at_random() -> None:
    priority = np.repeat([3.0, 2.0, 2.0, 1.0, -1.0], 20)
    found = policies.decide(priority, np.ones(100), Budget(share=0.3), 1)
    assert found.treat.sum() == 30 and found.treat[:20].all() and found.treat[20:60].sum() == 10
    assert found.rule == policies.Rule(2.0, 0.25) and found.short
    assert list(found.rule.probability(priority)[[0, 25, 60, 90]]) == [1, 0.25, 0, 0]
    assert policies.decide(priority, np.ones(100), Budget(), 1).treat.sum() == 80
    assert policies.decide(priority, np.full(100, 0.5), Budget(cost=5.0), 1).treat.sum() == 10


def test_the_tree_is_the_best_of_all_and_no_worse_than_that_of_econml() -> None:
    from econml.policy import PolicyTree

    r = np.random.default_rng(5)
    frame = pd.DataFrame({"a": r.normal(size=300), "b": r.normal(size=300), "c": r.choice(["x", "y", "z"], 300)})
    rewards = ((frame["a"] > 0) == (frame["b"] > 0.2)) - 0.4 + 0.3 * (frame["c"] == "x") + r.normal(size=300) * 0.3
    features = [
        {"name": "a", "kind": "number"},
        {"name": "b", "kind": "number"},
        {"name": "c", "kind": "category", "categories": ["x", "y", "z"]},
    ]
    splits = policy_tree.candidates(frame, features)
    masks = np.column_stack([split.mask(frame) for split in splits]).astype(float)
    gains = rewards.to_numpy()

    def worth(tree: policy_tree.Tree) -> float:
        groups = tree.groups(frame)
        return sum(max(gains[groups == group].sum(), 0.0) for group in range(4))

    found = policy_tree.learn(masks, splits, gains, 2, 10)
    assert found is not None
    every = [
        policy_tree.Tree(first, (left, right)) for first in splits for left in splits[::7] for right in splits[::7]
    ]
    large = [tree for tree in every if min(np.unique(tree.groups(frame), return_counts=True)[1]) >= 10]
    assert worth(found) >= max(map(worth, large)) - 1e-9
    theirs = PolicyTree(max_depth=2, min_samples_leaf=10, honest=False, random_state=1)
    encoded = np.column_stack([frame[["a", "b"]], pd.get_dummies(frame["c"])]).astype(float)
    theirs.fit(encoded, np.column_stack([np.zeros(300), gains]))
    assert worth(found) >= 0.97 * gains[theirs.predict(encoded) == 1].sum()  # their splits may be between our quantiles
    alone = policy_tree.learn(masks, splits, gains, 1, 10)
    assert alone is not None and alone.second == (None, None) and worth(alone) <= worth(found)
    assert policy_tree.learn(masks, splits, gains, 2, 200) is None
    assert found.words(0) and " and " in found.words(3)


def test_a_budget_that_the_rule_exceeds_on_other_rows_is_said(ctx: LocalContext) -> None:
    model = ask(ctx, data(800)).model
    other = data(800, 2)
    decide(ctx, model, data(800, 1), other.assign(share=other["share"] + 1), cost=0.8, budget={"share": 0.2})
    assert any("on the held-out rows the rule uses a share of rows of" in warning for warning in ctx.warned)
