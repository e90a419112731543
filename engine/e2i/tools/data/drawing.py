"""Draw the pictures on pages about tables, and write their parts. In: numbers and texts. Out: HTML, always escaped."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { margin-bottom: .2rem }
h2 { margin-top: 2.2rem; border-bottom: 1px solid #ddd }
img { max-width: 100% }
table { border-collapse: collapse; width: 100% }
td, th { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #eee; vertical-align: top }
td:nth-child(-n+2) { overflow-wrap: anywhere }
td:nth-child(n+3) { white-space: nowrap; font-variant-numeric: tabular-nums }
th { font-weight: 600; color: #555 }
.facts { color: #555 }
.wide { overflow-x: auto }
.bar { display: inline-block; background: #e8edf3; width: 6rem; height: .7rem; border-radius: .2rem; overflow: hidden;
  margin-right: .4rem }
.bar i { display: block; height: 100%; background: #4477aa }
.bar.gap i { background: #cc8844 }
.bar.bad i { background: #cc3344 }
.notes { background: #fff6e5; border-left: .3rem solid #e0a030; padding: .6rem 1rem .6rem 2rem }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
.card { border: 1px solid #e3e3e3; border-radius: .5rem; padding: .7rem 1rem; min-width: 0 }
.card h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere }
.card p { margin: .2rem 0; color: #555; font-size: .85rem }
.card td { padding: .1rem .4rem .1rem 0; font-size: .85rem }
.tag { background: #eef; border-radius: .3rem; padding: 0 .4rem; font-size: .8rem; color: #446 }
.tag.bad { background: #fde; color: #a13 }
"""
BLUE, ORANGE, RED = "#4477aa", "#cc8844", "#cc3344"


def page(title: str, facts: str, body: str) -> str:
    """Return the whole page. ``body`` is HTML."""
    head = f'<meta charset="utf-8"><title>{text(title)}</title><style>{STYLE}</style>'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{text(title)}</h1>'
        f'<p class="facts">{text(facts)}</p>{body}</body></html>\n'
    )


def text(value: object) -> str:
    """Return a value as text of the page."""
    return html.escape(str(value))


def number(value: object) -> str:
    """Return a number with at most six digits, a text as it is."""
    return text(f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value)


def bar(share: float, kind: str = "", *, label: bool = True) -> str:
    """Return a bar of a share from 0 to 1, with the share in percent as its label."""
    width = f"width:{100 * min(max(share, 0), 1):.1f}%"
    return f'<span class="bar {kind}"><i style="{width}"></i></span>{f"{share:.1%}" if label else ""}'


def listed(notes: Sequence[str]) -> str:
    """Return notes as a list."""
    return f'<ul class="notes">{"".join(f"<li>{text(note)}</li>" for note in notes)}</ul>' if notes else ""


def rows(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table. ``lines`` are cells in HTML."""
    heads = "".join(f"<th>{text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'


def picture(draw: Callable[[Any], None], size: tuple[float, float]) -> str:
    """Return what a function draws on a figure, as an image. Equal input gives equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks are drawn as boxes
        draw(figure)
        figure.savefig(made, format="png", dpi=90, metadata={"Software": None})
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}">'


def histogram(values: Any, *, times: Sequence[str] | None = None, color: str = BLUE) -> str:
    """Return the histogram of finite numbers. ``times``: the labels of its ends, for points in time."""

    def draw(figure: Any) -> None:
        axes = figure.subplots(gridspec_kw={"left": 0.02, "right": 0.98, "bottom": 0.2, "top": 0.97})
        axes.hist(values, bins=30, color=color)
        axes.set_yticks([])
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.tick_params(labelsize=8)
        if times is not None:
            axes.set_xticks([values.min(), values.max()], [one[:16] for one in times])
            for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                label.set_horizontalalignment(side)

    return picture(draw, (3.6, 1.4))


def heatmap(names: Sequence[str], values: Any) -> str:
    """Return a map of correlations between -1 and 1."""
    import numpy as np

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        shown = axes.imshow(np.nan_to_num(values), cmap="RdBu_r", vmin=-1, vmax=1)
        ticks = range(len(names))
        short = [name if len(name) <= 24 else name[:23] + "…" for name in names]
        axes.set_xticks(ticks, short, rotation=90, fontsize=8, parse_math=False)
        axes.set_yticks(ticks, short, fontsize=8, parse_math=False)
        figure.colorbar(shown, shrink=0.6)
        if len(names) <= 12:
            for (y, x), value in np.ndenumerate(values):
                if not np.isfinite(value):
                    continue
                light = abs(value) > 0.6
                axes.text(
                    x,
                    y,
                    f"{round(value, 2) + 0.0:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="w" if light else "k",
                )
        figure.subplots_adjust(left=0.24, right=0.98, bottom=0.26, top=0.98)

    side = 3.4 + 0.28 * len(names)
    return picture(draw, (side + 0.8, side))


def bars(names: Sequence[str], values: Sequence[float], *, color: str = BLUE, of: str = "") -> str:
    """Return horizontal bars, the first on top."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        short = [name if len(name) <= 30 else name[:29] + "…" for name in names]
        axes.barh(range(len(names)), values, color=color)
        axes.set_yticks(range(len(names)), short, fontsize=8, parse_math=False)
        axes.invert_yaxis()
        axes.set_xlabel(of, fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["right", "top"]].set_visible(False)
        height = 0.9 + 0.24 * len(names)
        figure.subplots_adjust(left=0.3, right=0.97, bottom=0.5 / height, top=1 - 0.1 / height)

    return picture(draw, (7.5, 0.9 + 0.24 * len(names)))
