"""Write the page of model.fairness. In: rates of groups, disparities. Out: HTML with plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2i.tools.model import interval_plot, pages
from e2i.tools.model.interval_plot import Line

if TYPE_CHECKING:
    from e2i.tools.model.evaluation import Judged
    from e2i.tools.model.fairness import Apart
    from e2i.tools.model.params.inspecting import FairnessParams
    from e2i.tools.model.slicing import Measured

DRAWN = {"selection_rate": "share classified as positive", "accuracy": "accuracy", "mean_error": "mean error"}
"""The rate that is drawn, the first that there is."""


def render(
    title: str, rows: Judged, measured: Sequence[Measured], apart: Sequence[Apart], params: FairnessParams
) -> str:
    """Return the page."""
    positive = "" if rows.positive is None else f"; positive class: {rows.positive}, decided from {rows.threshold:g}"
    about = f"{len(rows.labels):,} rows{positive}; {params.interval:.0%} intervals"
    body = pages.paragraph(about)
    for by in params.by:
        groups = [one for one in measured if one.by == by]
        body += _column(by, groups, [one for one in apart if one.by == by], params)
    return pages.document(title, body)


def _column(by: str, groups: Sequence[Measured], apart: Sequence[Apart], params: FairnessParams) -> str:
    names = list(dict.fromkeys(name for one in groups for name in one.metrics))
    drawn = next((name for name in DRAWN if name in names), None)
    picture = ""
    if params.plots and drawn is not None:
        lines = [
            Line(f"{one.value}  ({one.rows:,})", one.metrics[drawn], one.intervals.get(drawn))
            for one in groups
            if drawn in one.metrics
        ]
        picture = pages.picture(interval_plot.draw(lines, DRAWN[drawn]))
    limits = {**params.at_least, **params.at_most}
    disparities = pages.table(
        ("disparity", "value", "interval", "limit", "lowest", "highest"),
        [
            (
                one.metric,
                pages.number(one.estimate),
                pages.between(one.bounds(params.interval)),
                pages.number(limits.get(one.metric)),
                one.lowest,
                one.highest,
            )
            for one in apart
        ],
    )
    rates = pages.table(
        ("group", "rows", *(name.replace("_", " ") for name in names)),
        [(one.value, f"{one.rows:,}", *(pages.number(one.metrics.get(name)) for name in names)) for one in groups],
    )
    return pages.heading(f"By {by}") + picture + disparities + "<p></p>" + rates
