"""Render the evaluation page. In: metrics, labels and predictions. Out: one HTML page with embedded plots."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2i.tools.model import pages, slice_page
from e2i.tools.model import plots as drawing

if TYPE_CHECKING:
    from e2i.tools.model.evaluation import Judged, Measured
    from e2i.tools.model.slicing import Measured as Slice

ABOUT_CLASS = ("f1", "precision", "recall", "prevalence", "average_precision")
"""Metrics that depend on which class is the positive one."""


def render(title: str, found: Measured, rows: Judged, slices: Sequence[Slice], classes: str, *, plots: bool) -> str:
    """Return the page. Equal input gives equal text. ``classes`` is the part about single classes."""
    from e2i.estimators.intervals import worse

    lost = worse(found.metrics, found.baseline)
    lines = "".join(_line(name, found, rows, name in lost) for name in found.metrics)
    interval = f"<th>{found.level:.0%} interval</th>" if found.level is not None else ""
    table = f"<table><tr><th>metric</th><th>value</th>{interval}<th>constant answer</th></tr>{lines}</table>"
    picture = pages.picture(drawing.draw(rows)) if plots else ""
    body = f"<p>{_about(rows)}</p>{table}{picture}{classes}"
    return pages.document(title, body + (slice_page.section(rows, found, slices, plots=plots) if slices else ""))


def _line(name: str, found: Measured, rows: Judged, worse: bool) -> str:
    label = f"{name} of {rows.positive}" if rows.positive is not None and name in ABOUT_CLASS else name
    cells = [html.escape(label), f"{found.metrics[name]:.3g}"]
    if found.level is not None:
        cells.append(" to ".join(f"{bound:.3g}" for bound in found.intervals.get(name, ())) or "–")
    constant = found.baseline.get(name)
    cells.append("–" if constant is None else f"{constant:.3g}" + (" (better)" if worse else ""))
    return f"<tr{' class=worse' if worse else ''}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _about(rows: Judged) -> str:
    count = f"{len(rows.labels):,} rows"
    if rows.queries is not None:
        return f"{count} of {len(set(rows.queries.tolist())):,} queries; the constant answer is a random order"
    if rows.positive is None:
        return count
    return f"{count}; positive class: <b>{html.escape(rows.positive)}</b>, decided from {rows.threshold:g}"
