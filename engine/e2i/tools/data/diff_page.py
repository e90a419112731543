"""Write the page of a comparison of tables. In: a difference. Out: one HTML page with embedded plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2i.tools.data import drawing
from e2i.tools.data.compare import CHANGED, Difference
from e2i.tools.data.drawing import text
from e2i.tools.data.looking import Counts

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 20
MOST_COLUMNS = 12
MOST_BARS = 30
MOST_CARDS = 12
LONGEST = 60


def render(of: Difference, counts: Counts, keys: Sequence[str], *, plots: bool) -> str:
    """Return the page. Equal input gives equal text."""
    title = "The tables are equal" if of.is_none else "The tables differ"
    facts = f"{counts.before:,} rows before, {counts.after:,} after, compared by {', '.join(keys)}"
    return drawing.page(title, facts, "".join(_sections(of, counts, keys, plots=plots)))


def _sections(of: Difference, counts: Counts, keys: Sequence[str], *, plots: bool) -> Iterator[str]:
    yield "<h2>Rows</h2>"
    most = max(counts.before, counts.after, 1)
    kinds = (("same", ""), ("changed", "gap"), ("added", ""), ("removed", "bad"))
    yield drawing.rows(
        ["", "share", "rows"],
        ([name, drawing.bar(getattr(counts, name) / most, kind), f"{getattr(counts, name):,}"] for name, kind in kinds),
    )
    yield from _columns(of)
    if of.changes:
        yield "<h2>Changed values</h2>"
        names = sorted(of.changes, key=lambda name: -of.changes[name])
        if plots:
            yield drawing.bars(names[:MOST_BARS], [of.changes[name] for name in names[:MOST_BARS]], of="rows")
            yield from _shifts(of, names)
        else:
            yield drawing.rows(["column", "rows"], ([text(name), f"{of.changes[name]:,}"] for name in names))
    for name, table in (("changed", of.changed), ("added", of.added), ("removed", of.removed)):
        if table.num_rows:
            yield f"<h2>Rows that were {name}</h2>{_first(table, keys if name == 'changed' else ())}"


def _columns(of: Difference) -> Iterator[str]:
    """Yield the columns and types that differ."""
    lines = [[text(name), "", "added"] for name in of.added_columns]
    lines += [[text(name), "", "removed"] for name in of.removed_columns]
    for name, change in of.types.items():
        note = "" if change.compared else ", values not compared"
        lines.append([text(name), f"{text(change.before)} → {text(change.after)}", f"another type{note}"])
    if lines:
        yield "<h2>Columns</h2>" + drawing.rows(["column", "type", ""], lines)


def _shifts(of: Difference, names: Sequence[str]) -> Iterator[str]:
    """Yield histograms of how far numbers have moved."""
    import numpy as np

    cards: list[str] = []
    for name in names:
        moved = _moved(of.changed[f"{name}_before"], of.changed[f"{name}_after"])
        if moved is None or len(moved) == 0 or len(cards) == MOST_CARDS:
            continue
        middle = f"median {np.median(moved):.6g}, from {moved.min():.6g} to {moved.max():.6g}"
        plot = drawing.histogram(moved, color=drawing.ORANGE) if np.ptp(moved) > 1e-12 * np.abs(moved).max() else ""
        cards.append(f'<div class="card"><h3>{text(name)}</h3><p>after minus before: {middle}</p>{plot}</div>')
    if cards:
        yield f'<div class="cards">{"".join(cards)}</div>'


def _moved(before: Any, after: Any) -> Any:
    """Return the differences of numbers that differ; None for other columns."""
    import numpy as np

    from e2i.tools.data.compare import is_number

    if not (is_number(before.type) and is_number(after.type)):
        return None
    one, other = (column.cast("double", safe=False).to_numpy() for column in (before, after))
    with np.errstate(invalid="ignore", over="ignore"):
        moved = other - one
    return np.clip(moved[np.isfinite(moved) & (moved != 0)], -1e300, 1e300)


def _first(table: pa.Table, keys: Sequence[str]) -> str:
    """Return the first rows. Of changed ones, only columns that differ in them."""
    first = table.slice(0, MOST_ROWS)
    if keys:
        lines = []
        for row in first.to_pylist():  # at most MOST_ROWS
            values = "<br>".join(
                f"{text(name)}: {_short(row[f'{name}_before'])} → {_short(row[f'{name}_after'])}"
                for name in row[CHANGED][:MOST_COLUMNS]
            )
            lines.append([_short(", ".join(str(row[key]) for key in keys)), values])
        shown = drawing.rows([", ".join(keys), "before → after"], lines)
    else:
        names = table.column_names[:MOST_COLUMNS]
        shown = drawing.rows(names, ([_short(row[name]) for name in names] for row in first.select(names).to_pylist()))
    rest = table.num_rows - first.num_rows
    return shown + (f"<p>{rest:,} more rows are in the step's table.</p>" if rest else "")


def _short(value: object) -> str:
    shown = "null" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
    return text(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")
