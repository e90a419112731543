"""Draw event studies and looks at experiments. In: estimates. Out: PNGs as data addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from e2i.tools.causal import pictures
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.experiments import Look

if TYPE_CHECKING:
    from e2i.tools.causal.panel import Read


def draw_events(events: Mapping[int, Estimate], read: Read, outcome: str) -> str:
    """Draw the effect by periods since the treatment, and the mean outcome of each group by period."""
    import numpy as np

    figure, (study, means) = pictures.start(2)
    before = [event for event in events if event < 0]
    after = [event for event in events if event >= 0]
    for chosen, color, label in ((before, pictures.ORANGE, "before"), (after, pictures.BLUE, "treated")):
        if chosen:
            pictures.bars(study, np.asarray(chosen), [events[event] for event in chosen], color=color, label=label)
    study.scatter([-1], [0], color=pictures.GREY, s=24)
    study.axhline(0, color=pictures.GREY, linewidth=0.8)
    study.axvline(-0.5, color=pictures.GREY, linestyle=":")
    study.set(title="Event study", xlabel="periods since the treatment", ylabel="effect")
    study.legend(frameon=False)
    found = read.panel
    for group in sorted(np.unique(found.first)):
        name = "never" if group >= found.periods else f"from {read.periods[group]}"
        means.plot(range(found.periods), found.outcome[found.first == group].mean(axis=0), marker=".", label=name)
    shown = np.unique(np.linspace(0, found.periods - 1, min(found.periods, 6)).round().astype(int))
    means.set_xticks(shown, [read.periods[index] for index in shown])
    means.set(title="Groups", ylabel=f"mean {outcome}")
    means.legend(frameon=False)
    return pictures.address(figure)


def draw_looks(looks: Sequence[Look], plain: Estimate, adjusted: Estimate) -> str:
    """Draw the difference with and without covariates, and the intervals of the looks."""
    import numpy as np

    figure, plots = pictures.start(2 if looks else 1)
    pictures.bars(plots[0], np.arange(2), [plain, adjusted])
    plots[0].set_xticks([0, 1], ["difference", "adjusted"])
    plots[0].set_xlim(-0.5, 1.5)
    plots[0].axhline(0, color=pictures.GREY, linewidth=0.8)
    plots[0].set(title="Effect")
    if looks:
        x = [one.entities for one in looks]
        low, high = ([getattr(one.effect, name) for one in looks] for name in ("low", "high"))
        plots[1].fill_between(x, low, high, color=pictures.BLUE, alpha=0.2)
        plots[1].plot(x, [one.effect.value for one in looks], color=pictures.BLUE)
        plots[1].axhline(0, color=pictures.GREY, linewidth=0.8)
        reach = 3 * max(abs(looks[-1].effect.low), abs(looks[-1].effect.high))
        plots[1].set_ylim(-reach, reach)
        plots[1].set(title="Looks", xlabel="entities", ylabel="effect so far")
    return pictures.address(figure)
