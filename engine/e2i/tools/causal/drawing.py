"""Draw what an estimate rests on: overlap, balance, effects by row. In: an estimate. Out: a PNG as a data address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.tools.causal import pictures
from e2i.tools.causal.diagnostics import IMBALANCE
from e2i.tools.causal.pictures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from e2i.tools.causal.estimation import Estimated

COVARIATES = 20
"""Most covariates in the picture of balance: those that differ most before weighting."""


def draw(shown: Estimated) -> str:
    """Return one picture with three plots."""
    figure, (overlap, balance, effects) = pictures.start(3)
    _overlap(overlap, shown)
    _balance(balance, shown)
    _effects(effects, shown)
    return pictures.address(figure)


def _overlap(axes: Any, shown: Estimated) -> None:
    """Draw the propensities of both arms; of an amount, what its model leaves of it."""
    import numpy as np

    rows, found = shown.rows, shown.found
    if shown.overlap is None:
        axes.hist(rows.treatment - found.treatment, bins=40, color=BLUE)
        axes.set(title="Treatment left unexplained", xlabel=f"{shown.params.treatment} minus its expectation")
        return
    bins = np.linspace(0, 1, 41)
    for arm, name, color in ((1, "treated", BLUE), (0, "untreated", ORANGE)):
        own = found.treatment[rows.treatment == arm]
        axes.hist(own, bins=bins, weights=np.full(len(own), 1 / len(own)), alpha=0.6, label=name, color=color)
    for bound in (shown.params.overlap.low, shown.params.overlap.high):
        axes.axvline(bound, color=GREY, linestyle=":")
    axes.set(title="Overlap", xlabel="propensity", ylabel="share of the arm's rows")
    axes.legend(frameon=False)


def _balance(axes: Any, shown: Estimated) -> None:
    """Draw each covariate's difference before and after weighting (a Love plot)."""
    import numpy as np

    found = shown.balance
    order = sorted(range(len(found.names)), key=lambda index: -abs(found.before[index]))[:COVARIATES][::-1]
    places = np.arange(len(order))
    axes.scatter([found.before[index] for index in order], places, color=ORANGE, label="before", zorder=3)
    axes.scatter([found.after[index] for index in order], places, color=BLUE, label="after weighting", zorder=3)
    axes.set_yticks(places, [found.names[index][:28] for index in order])
    for bound in (-IMBALANCE, IMBALANCE):
        axes.axvline(bound, color=GREY, linestyle=":")
    axes.axvline(0, color=GREY, linewidth=0.8)
    what = "correlation with the treatment" if shown.overlap is None else "difference in standard deviations"
    axes.set(title="Balance", xlabel=what)
    if order:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=2)


def _effects(axes: Any, shown: Estimated) -> None:
    """Draw the distribution of the rows' effects beside the average."""
    found = shown.effect
    axes.hist(shown.final.effect, bins=40, color=BLUE)
    axes.axvspan(found.low, found.high, color=ORANGE, alpha=0.25)
    axes.axvline(found.value, color=ORANGE, label=shown.params.estimand)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(title="Effect by row", xlabel=f"change of {shown.params.outcome}", ylabel="rows")
    axes.legend(frameon=False)
