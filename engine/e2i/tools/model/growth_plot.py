"""Draw learning and validation curves. In: their points. Out: a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2i.tools.model.interval_plot import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from e2i.tools.model.learning_curve import Point
    from e2i.tools.model.validation_curve import Point as OfValue


def draw(points: Sequence[Point]) -> bytes:
    """Return a PNG of one metric by training rows, with bands of one standard deviation between draws."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rows = [point.rows for point in points]
    for label, color, values, spreads in (
        ("training rows", ORANGE, [point.train for point in points], [point.train_sd or 0 for point in points]),
        ("held-out rows", BLUE, [point.held_out for point in points], [point.held_out_sd or 0 for point in points]),
    ):
        axes.plot(rows, values, marker="o", color=color, label=label)
        low = [value - spread for value, spread in zip(values, spreads, strict=True)]
        high = [value + spread for value, spread in zip(values, spreads, strict=True)]
        axes.fill_between(rows, low, high, color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="training rows", ylabel=points[0].metric, xlim=(0, rows[-1] * 1.03))
    return _png(figure, axes)


def draw_values(points: Sequence[OfValue], parameter: str) -> bytes:
    """Return a PNG of one metric by the values of a hyperparameter, with the intervals of the held-out rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(points))
    axes.plot(places, [point.train for point in points], marker="o", color=ORANGE, label="training rows")
    axes.plot(places, [point.held_out for point in points], marker="o", color=BLUE, label="held-out rows")
    for place, point in enumerate(points):
        if point.low is not None and point.high is not None:
            axes.vlines(place, point.low, point.high, color=BLUE, linewidth=2, alpha=0.5)
    axes.set_xticks(places, [point.value.replace("$", r"\$") for point in points])
    axes.set(xlabel=parameter, ylabel=points[0].metric)
    return _png(figure, axes)


def _png(figure: Figure, axes: Axes) -> bytes:
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return picture.getvalue()
