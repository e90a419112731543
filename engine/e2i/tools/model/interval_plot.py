"""Draw estimates with their intervals, one below the other. In: names, values, intervals. Out: a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from msgspec import Struct

BLUE, ORANGE, GREY = "#4477aa", "#cc8844", "#888888"
NAME = 60
"""Most characters of a name."""


class Line(Struct, frozen=True):
    """One estimate. ``bounds`` None: it has no interval. ``marked`` lines are of another colour."""

    name: str
    value: float
    bounds: tuple[float, float] | None = None
    marked: bool = False


def draw(lines: Sequence[Line], label: str, *, reference: float | None = None, about: str = "") -> bytes:
    """Return a PNG. ``reference`` is drawn as a vertical line that ``about`` explains."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.1 + 0.27 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, line in enumerate(lines):
        color = ORANGE if line.marked else BLUE
        if line.bounds is not None:
            axes.hlines(place, *line.bounds, color=color, linewidth=2)
        axes.scatter([line.value], [place], s=26, zorder=3, facecolors=_filled(line, color), edgecolors=color)
    if reference is not None:
        axes.axvline(reference, color=GREY, linestyle=":", label=about or None)
        if about:
            figure.legend(loc="outside upper right", frameon=False, fontsize=8)
    axes.set_yticks(range(len(lines)), [_short(line.name) for line in lines])
    axes.set(xlabel=label, ylim=(len(lines) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.25)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return picture.getvalue()


def _filled(line: Line, color: str) -> str:
    """Return the colour inside a point: it is hollow without an interval."""
    return color if line.bounds is not None else "white"


def _short(name: str) -> str:
    shown = name if len(name) <= NAME else name[: NAME - 1] + "…"
    return shown.replace("$", r"\$")  # not the beginning of a formula
