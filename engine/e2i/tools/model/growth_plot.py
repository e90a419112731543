"""Draw a learning curve. In: its points. Out: a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2i.tools.model.interval_plot import BLUE, ORANGE

if TYPE_CHECKING:
    from e2i.tools.model.learning_curve import Point


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
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return picture.getvalue()
