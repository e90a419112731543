"""Render the page of a policy: whom to treat, what it is worth beside other policies. In: values. Out: HTML page."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from e2i.tools.causal import page, pictures
from e2i.tools.causal.choosing import PolicyParams
from e2i.tools.causal.policies import Decided, Valued
from e2i.tools.causal.targeting import Target

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

TOLERATED = 0.05
"""Share by which the budget may be exceeded on other rows without a warning."""
NAMES = {
    "policy": "this policy",
    "all": "treat all",
    "random": "as many rows at random",
    "none": "treat nobody",
}
BUDGET = (
    "The budget holds for the rows that were decided about. The rule is a threshold: on other rows it may treat more "
    "or fewer of them than the budget allows."
)
SOURCE = (
    "Values are means of doubly robust scores, net of cost, on rows that neither the model nor the rule has seen "
    "(Athey and Wager 2021). Other rows than these may gain otherwise."
)


def render(
    title: str, params: PolicyParams, values: list[Valued], rules: list[str], warnings: list[str], treated: int
) -> str:
    """Return the page. Equal input gives equal text."""
    lines = "".join(f"<li>{html.escape(rule)}</li>" for rule in rules)
    body = [
        page.notes(warnings),
        f'<p class="answer">{html.escape(answer(params, values, treated))}</p>',
        f"<h2>Whom to treat</h2><ul>{lines}</ul><p>{html.escape(BUDGET)}</p>",
        "<h2>Value per row, over treating nobody</h2>",
        page.estimates({_name(one): one.value for one in values}, params.level),
        "<h2>How much better this policy is</h2>",
        page.estimates({_name(one): one.advantage for one in values[1:]}, params.level),
        f'<img alt="Values of the policies" src="{_draw(values)}">',
        f"<p>{html.escape(SOURCE)}</p>",
    ]
    return page.document(title, body)


def answer(params: PolicyParams, values: list[Valued], treated: int) -> str:
    """Return the result in two sentences."""
    own, other = values[0], next(one for one in values if one.policy == "random")
    return (
        f"Treating {treated:,} of {params.table.rows:,} rows gains {own.value.value:.3g} a row over treating nobody, "
        f"net of cost ({own.value.low:.3g} to {own.value.high:.3g}). That is {other.advantage.value:.3g} "
        f"({other.advantage.low:.3g} to {other.advantage.high:.3g}) more than as many rows at random."
    )


def rules(params: PolicyParams, target: Target, decided: Decided) -> list[str]:
    """Return whom the policy treats, in words."""
    rule = decided.rule
    unit = "per unit of cost" if params.budget.cost is not None else "net of cost"
    if not decided.treat.any():
        return ["nobody: no row is worth its cost"]
    if not target.groups:
        some = "" if rule.part == 1 else f", and of those at it {rule.part:.0%}, at random"
        what = f"predicted {'effect' if params.direction == 'maximize' else 'reduction'}"
        return [f"rows whose {what} {unit} is at least {rule.threshold:.4g}{some}"]
    said = []
    for words, worth in target.groups:
        if worth >= rule.threshold:
            part = "all" if worth > rule.threshold or rule.part == 1 else f"{rule.part:.0%}, at random,"
            said.append(f"{part} rows where {words} (gain {worth:.3g} {unit} on the learning rows)")
    return said


def warnings(values: list[Valued], decided: Decided) -> list[str]:
    """Return what a reader must know before the figures."""
    said = []
    other = next(one for one in values if one.policy == "random")
    if not decided.treat.any():
        return ["no row is worth its cost, so the policy treats nobody"]
    if other.treated < 1 and other.advantage.low <= 0:
        said.append(
            "the held-out rows do not show that the policy is better than as many rows at random: "
            f"{other.advantage.value:.3g} ({other.advantage.low:.3g} to {other.advantage.high:.3g})"
        )
    if values[0].value.low <= 0:
        one = values[0].value
        said.append(
            f"the held-out rows do not show that the policy is worth its cost: {one.value:.3g} ({one.low:.3g} to "
            f"{one.high:.3g})"
        )
    return said


def elsewhere(chosen: Matrix, cost: Matrix, params: PolicyParams) -> str | None:
    """Return a warning when the rule uses more than the budget on other rows than it was made for."""
    budget = params.budget
    if budget.cost is not None:
        used, allowed = float((chosen * cost).mean()), budget.cost / params.table.rows
    elif budget.share is not None or budget.rows is not None:
        used, allowed = float(chosen.mean()), budget.share or (budget.rows or 0) / params.table.rows
    else:
        return None
    if used <= allowed * (1 + TOLERATED):
        return None
    what = "cost a row" if budget.cost is not None else "share of rows"
    return (
        f"on the held-out rows the rule uses a {what} of {used:.3g}, more than the {allowed:.3g} of the budget: it is "
        "a threshold, and other rows are above it more often. Their value is that of the larger use. To decide about "
        "further rows under a budget, run causal.policy on them, or treat them by `rank` until the budget is used up"
    )


def _name(one: Valued) -> str:
    return f"{NAMES[one.policy]} ({one.treated:.0%} treated)"


def _draw(values: list[Valued]) -> str:
    import numpy as np

    figure, (axes,) = pictures.start(1)
    places: Any = np.arange(len(values))
    pictures.bars(axes, places, [one.value for one in values])
    axes.axhline(0, color=pictures.GREY, linewidth=0.8)
    axes.set_xticks(places, [one.policy for one in values])
    axes.set(title="Value of each policy", ylabel="gain per row, net of cost")
    return pictures.address(figure)
