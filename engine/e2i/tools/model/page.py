"""Render the evaluation page. In: metrics, labels and predictions. Out: one HTML page with embedded plots."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from e2i.tools.model import plots as drawing

if TYPE_CHECKING:
    from e2i.tools.model.evaluation import Judged, Measured

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.worse{color:#a00}"
)
ABOUT_CLASS = ("f1", "precision", "recall", "prevalence", "average_precision")
"""Metrics that depend on which class is the positive one."""


def render(title: str, found: Measured, rows: Judged, *, plots: bool) -> str:
    """Return the page. Equal input gives equal text."""
    from e2i.estimators.intervals import worse

    lost = worse(found.metrics, found.baseline)
    lines = "".join(_line(name, found, rows, name in lost) for name in found.metrics)
    interval = f"<th>{found.level:.0%} interval</th>" if found.level is not None else ""
    table = f"<table><tr><th>metric</th><th>value</th>{interval}<th>constant answer</th></tr>{lines}</table>"
    picture = (
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(drawing.draw(rows)).decode()}">' if plots else ""
    )
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1><p>{_about(rows)}</p>{table}{picture}"
    return f'<!doctype html><html lang="en">{head}{body}</html>\n'


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
    if rows.positive is None:
        return count
    return f"{count}; positive class: <b>{html.escape(rows.positive)}</b>, decided from {rows.threshold:g}"
