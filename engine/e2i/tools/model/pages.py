"""Write HTML pages of the model tool. In: texts, tables and pictures. Out: HTML, equal for equal input."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.worse{color:#a00}"
)


def document(title: str, body: str) -> str:
    """Return one page. ``title`` is text, ``body`` is HTML."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}<h1>{html.escape(title)}</h1>{body}</html>\n'


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def heading(text: str) -> str:
    """Return a heading; the run's report shows it as the caption of the pictures below."""
    return f"<h2>{html.escape(text)}</h2>"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table of texts, in which all columns but the first are aligned as numbers."""
    first = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    rest = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><tr>{first}</tr>{rest}</table>"


def items(texts: Iterable[str]) -> str:
    """Return a list of texts."""
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def picture(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def number(value: float | None) -> str:
    """Return three significant digits, or a dash."""
    return "–" if value is None else f"{value:.3g}"


def between(bounds: Sequence[float] | None) -> str:
    """Return an interval, or a dash."""
    return " to ".join(f"{bound:.3g}" for bound in bounds) if bounds else "–"
