"""Render the page of a preview. In: rows before and after a recipe. Out: one HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from e2i.tools.prepare import Prepared

if TYPE_CHECKING:
    import pandas as pd

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd;white-space:nowrap}"
)
MOST_COLUMNS = 200
"""Columns of rows that are shown."""
HEAD = ("column", "type", "missing", "distinct", "lowest", "mean", "highest")


def render(before: pd.DataFrame, after: pd.DataFrame, columns: Sequence[Prepared], rows: int) -> str:
    """Return the page. Equal input gives equal text."""
    about = f"{len(before):,} rows; {before.shape[1]:,} columns before the preparation, {after.shape[1]:,} after it"
    facts = _table(
        HEAD,
        (
            (one.name, one.type, f"{one.missing:.1%}", f"{one.distinct:,}", *map(_shown, (one.low, one.mean, one.high)))
            for one in columns
        ),
    )
    parts = [("Columns", facts), ("Before", _rows(before, rows)), ("After", _rows(after, rows))]
    body = "".join(f"<h2>{name}</h2>{part}" for name, part in parts)
    head = f'<meta charset="utf-8"><title>Preparation</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}<h1>Preparation</h1><p>{about}</p>{body}</html>\n'


def _rows(frame: pd.DataFrame, rows: int) -> str:
    shown = frame.iloc[:rows, :MOST_COLUMNS]
    return _table(list(map(str, shown.columns)), (map(_shown, row) for row in shown.itertuples(index=False, name=None)))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    named = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{named}</tr>{lines}</table>"


def _shown(value: Any) -> str:
    import pandas as pd

    if value is None or pd.isna(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:80]
