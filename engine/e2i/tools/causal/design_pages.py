"""Render the pages of the designs: an answer, checks, pictures. In: estimates. Out: HTML pages."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from e2i.tools.causal import page, pictures
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.rdd import Jump
from e2i.tools.causal.refuting import Check

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

BINS = 20
"""Bins of a picture on each side of a cutoff."""


def sentence(change: str, found: Estimate, level: float) -> str:
    """Return an estimate in one or two sentences."""
    said = f"{change} by {found.value:.3g} ({level:.0%} interval {found.low:.3g} to {found.high:.3g})."
    if found.low <= 0 <= found.high:
        said += " The interval contains 0: these rows do not show that it changes anything."
    return said


def render(
    title: str,
    answer: str,
    warnings: Iterable[str],
    estimates: Mapping[str, Estimate],
    level: float,
    checks: Sequence[Check],
    assumptions: Iterable[str],
    picture: str,
) -> str:
    """Return the page. Equal input gives equal text."""
    rests = "".join(f"<li>{html.escape(one)}</li>" for one in assumptions)
    body = [
        page.notes(warnings),
        f'<p class="answer">{html.escape(answer)}</p>',
        page.estimates(estimates, level),
        f"<h2>What it rests on</h2><ul>{rests}</ul>",
        _checks(checks),
        f'<img alt="Pictures of the design" src="{picture}">',
    ]
    return page.document(title, body)


def _checks(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    lines = "".join(
        f"<tr><td>{html.escape(one.check)}</td><td>{'passed' if one.passed else 'failed'}</td>"
        f"<td>{html.escape(one.meaning)}</td></tr>"
        for one in checks
    )
    return f"<table><tr><th>check</th><th>result</th><th>meaning</th></tr>{lines}</table>"


def draw_jump(running: Matrix, outcome: Matrix, found: Jump, widths: Sequence[Jump], names: tuple[str, str]) -> str:
    """Draw means by bin around the cutoff, the number of rows, and the effect by bandwidth."""
    import numpy as np

    figure, (means, counts, bands) = pictures.start(3)
    near = abs(running) < 2 * found.bandwidth
    for side, color in ((running < 0, pictures.ORANGE), (running >= 0, pictures.BLUE)):
        x, y = running[near & side], outcome[near & side]
        edges = np.linspace(min(x.min(), 0), max(x.max(), 0), BINS + 1)
        own = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, BINS - 1)
        rows = np.bincount(own, minlength=BINS)
        shown = rows > 0
        middle = (edges[:-1] + edges[1:]) / 2
        means.scatter(
            middle[shown], (np.bincount(own, weights=y, minlength=BINS)[shown] / rows[shown]), color=color, s=14
        )
        fitted = abs(x) < found.bandwidth
        weight = np.sqrt(1 - abs(x[fitted]) / found.bandwidth)
        line = np.polynomial.Polynomial.fit(x[fitted], y[fitted], 1, w=weight)
        ends = np.asarray([x[fitted].min(), x[fitted].max()])
        means.plot(ends, line(ends), color=color)
        counts.hist(x, bins=edges, color=color)
    for axes in (means, counts):
        axes.axvline(0, color=pictures.GREY, linestyle=":")
        axes.set(xlabel=f"{names[0]} from the cutoff")
    means.set(title="Outcome", ylabel=f"mean {names[1]}")
    counts.set(title="Rows", ylabel="rows")
    pictures.bars(bands, np.asarray([one.bandwidth for one in widths]), [one.effect for one in widths])
    bands.axhline(0, color=pictures.GREY, linewidth=0.8)
    bands.set(title="Effect by bandwidth", xlabel="bandwidth", ylabel="effect")
    return pictures.address(figure)


def draw_stages(instrument: Matrix, treatment: Matrix, outcome: Matrix, names: tuple[str, str, str]) -> str:
    """Draw how treatment and outcome move with the (fitted) instrument: means of twenty groups of rows."""
    import numpy as np

    figure, plots = pictures.start(2)
    order = np.argsort(instrument, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    x = [float(instrument[part].mean()) for part in parts]
    for axes, values, name in zip(plots, (treatment, outcome), names[1:], strict=True):
        axes.scatter(x, [float(values[part].mean()) for part in parts], color=pictures.BLUE, s=16)
        line: Any = np.polynomial.Polynomial.fit(instrument, values, 1)
        ends = np.asarray([instrument.min(), instrument.max()])
        axes.plot(ends, line(ends), color=pictures.ORANGE)
        axes.set(title=name, xlabel=names[0], ylabel=f"mean {name}")
    return pictures.address(figure)
