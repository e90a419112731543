"""Render the page of a validation: the answer, calibration, and who gains most. In: figures. Out: one HTML page."""

from __future__ import annotations

import html
from typing import Any

from e2i.tools.causal import page, pictures
from e2i.tools.causal.validating import Validated

SOURCES = (
    "Scores of held-out rows are doubly robust: their mean is right when the model of the outcome or that of the "
    "treatment is. Groups and slope: Chernozhukov, Demirer, Duflo and Fernández-Val 2018. Calibration: Dwivedi et al. "
    "2020. AUTOC and Qini, with intervals from half-samples of entities: Yadlowsky et al. 2025."
)


def render(title: str, found: Validated, warnings: list[str], level: float) -> str:
    """Return the page. Equal input gives equal text."""
    body = [
        page.notes(warnings),
        f'<p class="answer">{html.escape(answer(found))}</p>',
        page.estimates(
            {
                "average effect": found.average,
                "slope (1: differences are as large as predicted)": found.slope,
                "AUTOC (0: the ranking says nothing)": found.autoc,
                "Qini": found.qini,
            },
            level,
        ),
        f"<p>Predicted average {found.predicted:.4g}; calibration {found.calibration:.2f}; score {found.score:.4f}</p>",
        f'<img alt="Calibration, targeting curve and gain" src="{_draw(found)}">',
        _groups(found, level),
        f"<p>{html.escape(SOURCES)}</p>",
    ]
    return page.document(title, body)


def answer(found: Validated) -> str:
    """Return the result in two sentences."""
    autoc, low, high = found.autoc, found.groups[0], found.groups[-1]
    ranks = "ranks rows by their effect" if autoc.low > 0 else "is not shown to rank rows by their effect"
    return (
        f"On rows that it has not seen, the model {ranks} (AUTOC {autoc.value:.3g}, {autoc.low:.3g} to "
        f"{autoc.high:.3g}). The group with the largest predicted effects has {high.effect.value:.3g} on average "
        f"({high.predicted:.3g} predicted), the one with the smallest {low.effect.value:.3g} ({low.predicted:.3g})."
    )


def _groups(found: Validated, level: float) -> str:
    lines = "".join(
        f"<tr><td>{number}</td><td>{one.rows:,}</td><td>{one.predicted:.4g}</td><td>{one.effect.value:.4g}</td>"
        f"<td>{one.effect.low:.4g} to {one.effect.high:.4g}</td></tr>"
        for number, one in enumerate(found.groups, 1)
    )
    head = f"<th>group</th><th>rows</th><th>predicted</th><th>effect</th><th>{level:.0%} interval</th>"
    return f"<table><tr>{head}</tr>{lines}</table>"


def _draw(found: Validated) -> str:
    figure, (groups, curve, gain) = pictures.start(3)
    _calibration(groups, found)
    shares = [point.share for point in found.curve]
    advantages = [point.advantage for point in found.curve]
    _band(curve, shares, advantages)
    curve.set(title="Targeting curve", xlabel="share of rows, largest first", ylabel="effect above the average")
    gains = [
        one.model_copy(update={name: getattr(one, name) * share for name in ("value", "low", "high")})
        for one, share in zip(advantages, shares, strict=True)
    ]
    _band(gain, shares, gains)
    gain.set(title="Gain (Qini curve)", xlabel="share of rows, largest first", ylabel="gain above random, a row")
    return pictures.address(figure)


def _calibration(axes: Any, found: Validated) -> None:
    import numpy as np

    places = np.asarray([group.predicted for group in found.groups])
    pictures.bars(axes, places, [group.effect for group in found.groups])
    ends = [places.min(), places.max()]
    axes.plot(ends, ends, color=pictures.GREY, linestyle=":", label="as predicted")
    axes.axhline(found.average.value, color=pictures.ORANGE, linewidth=0.8, label="average")
    axes.set(title="Calibration", xlabel="predicted effect of the group", ylabel="its effect")
    axes.legend(frameon=False)


def _band(axes: Any, shares: list[float], values: list[Any]) -> None:
    axes.fill_between(shares, [one.low for one in values], [one.high for one in values], color=pictures.BLUE, alpha=0.2)
    axes.plot(shares, [one.value for one in values], color=pictures.BLUE)
    axes.axhline(0, color=pictures.GREY, linewidth=0.8)
