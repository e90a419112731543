"""Write the section of a page that shows slices. In: slices with metrics and intervals. Out: HTML with plots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from e2i.tools.model import interval_plot, pages
from e2i.tools.model.interval_plot import Line

if TYPE_CHECKING:
    from e2i.tools.model.evaluation import Judged, Measured
    from e2i.tools.model.slicing import Measured as Slice

SHOWN = {
    "binary": ("roc_auc", "log_loss", "f1", "prevalence"),
    "many": ("roc_auc", "log_loss", "accuracy", "f1"),
    "regression": ("rmse", "mae", "r2"),
    "ranking": ("ndcg", "ndcg_at_5", "mrr"),
}
"""Metrics in the table of slices. The first that has a value is drawn."""


def section(rows: Judged, found: Measured, slices: Sequence[Slice], *, plots: bool) -> str:
    """Return a heading, a plot and a table for each column of slices."""
    names = SHOWN[rows.task if rows.classes is None else "binary" if rows.positive is not None else "many"]
    parts = (_column(by, list(own), names, found, plots) for by, own in groupby(slices, lambda one: one.by))
    return "".join(parts)


def _column(by: str, slices: list[Slice], names: Sequence[str], found: Measured, plots: bool) -> str:
    drawn = next((name for name in names if any(name in one.metrics for one in slices)), names[0])
    lines = [
        Line(f"{one.value}  ({one.rows:,})", one.metrics[drawn], one.intervals.get(drawn))
        for one in slices
        if drawn in one.metrics
    ]
    head = ("", "rows", *names)
    body = [(one.value, f"{one.rows:,}", *(_cell(one, name) for name in names)) for one in slices]
    level = "" if found.level is None else f", {found.level:.0%} intervals"
    picture = ""
    if plots and lines:
        label, overall = f"{drawn}{level}", found.metrics.get(drawn)
        picture = pages.picture(interval_plot.draw(lines, label, reference=overall, about="all rows"))
    return pages.heading(f"{drawn} by {by}") + picture + pages.table(head, body)


def _cell(one: Slice, name: str) -> str:
    bounds = one.intervals.get(name)
    return pages.number(one.metrics.get(name)) + (f" ({pages.between(bounds)})" if bounds else "")
