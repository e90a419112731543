"""Write the page of a profile. In: a profile. Out: one HTML page with embedded plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from e2i.tools.data import drawing, profile
from e2i.tools.data.drawing import text
from e2i.tools.data.looking import ColumnFacts
from e2i.tools.data.profile import Column, Profile

MOST_CARDS = 60
MOST_LINES = 1_000
MOST_CORRELATED = 25
MOST_BARS = 30


def render(of: Profile, notes: Sequence[str], *, plots: bool) -> str:
    """Return the page. Equal input gives equal text."""
    missing = sum(found.nulls for found in of.facts.values()) / max(of.rows * len(of.facts), 1)
    facts = f"{of.rows:,} rows, {len(of.facts):,} columns, {missing:.1%} of the values missing"
    if of.looked_at < of.rows:
        facts += f"; figures of {of.looked_at:,} rows chosen at random"
    title = f"Profile: {of.target}" if of.target else "Profile"
    return drawing.page(title, facts, "".join([drawing.listed(notes), *_sections(of, plots=plots)]))


def _sections(of: Profile, *, plots: bool) -> Iterator[str]:
    yield "<h2>Columns</h2>"
    head = [
        "column",
        "type",
        "missing",
        "distinct",
        "least",
        "median",
        "largest",
        *(["association", "AUC"] if of.target else []),
    ]
    order = sorted(
        of.facts, key=lambda name: (name != of.target, -(of.facts[name].association or 0)) if of.target else 0
    )
    yield drawing.rows(head, (_line(name, of.facts[name], of) for name in order[:MOST_LINES]))
    if len(order) > MOST_LINES:
        yield f"<p>{len(order) - MOST_LINES:,} more columns are in the step's outputs.</p>"
    if not plots or not of.rows:
        return
    yield from _overview(of, order)
    yield '<h2>Distributions</h2><div class="cards">'
    yield from (_card(name, of.facts[name], of.columns[name]) for name in order[:MOST_CARDS])
    yield "</div>"
    if len(order) > MOST_CARDS:
        yield f"<p>Plots of the first {MOST_CARDS} of {len(order):,} columns.</p>"


def _overview(of: Profile, order: Sequence[str]) -> Iterator[str]:
    """Yield the plots of all columns together: missing values, associations, correlations."""
    gaps = sorted((name for name in of.facts if of.facts[name].nulls), key=lambda name: -of.facts[name].nulls)[
        :MOST_BARS
    ]
    if gaps:
        shares = [100 * of.facts[name].nulls / of.rows for name in gaps]
        yield "<h2>Missing values</h2>" + drawing.bars(gaps, shares, color=drawing.ORANGE, of="% of all rows")
    if of.target:
        told = [name for name in order if of.facts[name].association][:MOST_BARS]
        if told:
            yield f"<h2>Association with {text(of.target)}</h2>"
            yield drawing.bars(told, [of.facts[name].association or 0 for name in told], of="from 0 to 1")
    names, values = profile.correlations(of, MOST_CORRELATED)
    if len(names) > 1:
        yield "<h2>Rank correlations</h2>" + drawing.heatmap(names, values)


def _line(name: str, found: ColumnFacts, of: Profile) -> list[str]:
    tags = [("target", "")] if name == of.target else []
    tags += [("key", "")] if found.key else []
    tags += [("leak?", "bad")] if found.suspect else []
    tags += [("constant", "")] if found.constant else []
    shown = "".join(f' <span class="tag {kind}">{tag}</span>' for tag, kind in tags)
    cells = [
        f"{text(name)}{shown}",
        text(found.type),
        drawing.bar(found.nulls / max(of.rows, 1), "gap"),
        "" if found.distinct is None else drawing.number(found.distinct),
        *(
            "" if one is None else drawing.number(one)
            for one in (found.minimum, found.quantiles.get("0.5"), found.maximum)
        ),
    ]
    if of.target:
        kind = "bad" if found.suspect else ""
        cells += ["" if found.association is None else drawing.bar(found.association, kind)]
        cells += ["" if found.auc is None else f"{found.auc:.3f}"]
    return cells


def _card(name: str, found: ColumnFacts, column: Column) -> str:
    return f'<div class="card"><h3>{text(name)}</h3><p>{text(found.type)}</p>{_plot(found, column)}</div>'


def _plot(found: ColumnFacts, column: Column) -> str:
    import numpy as np

    if column.numbers is not None:
        finite = column.numbers[np.isfinite(column.numbers)]
        if not len(finite):
            return "<p>no values</p>"
        ends = [str(found.minimum), str(found.maximum)] if column.is_time else None
        with np.errstate(over="ignore"):
            width = finite.max() - finite.min()
        if width <= 1e-12 * np.abs(finite).max():  # no bins fit in between
            return f"<p>all {drawing.number(found.minimum)}</p>"
        return drawing.histogram(_within(finite), times=ends)
    if not found.frequent:
        return "<p>not plotted</p>"
    most = max(one.rows for one in found.frequent) or 1
    lines = [
        [f"<code>{text(one.value[:40])}</code>", drawing.bar(one.rows / most, label=False), f"{one.rows:,}"]
        for one in found.frequent
    ]
    rest = (found.distinct or 0) - len(found.frequent)
    return drawing.rows(["", "", ""], lines) + (f"<p>{rest:,} more values</p>" if rest > 0 else "")


def _within(values: Any) -> Any:
    """Return values whose range a plot can show."""
    import numpy as np

    return np.clip(values, -1e300, 1e300)
