"""Draw plots side by side, as a PNG in a data address, without a display."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

BLUE, ORANGE, GREY = "#4477aa", "#cc8844", "#888888"


def start(plots: int) -> tuple[Any, list[Any]]:
    """Return a figure and its plots, side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * plots, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, plots, squeeze=False)[0])


def address(figure: Any) -> str:
    """Return the picture as a data address. Equal figures give equal text."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"


def bars(axes: Any, places: Matrix, values: list[Any], *, color: str = BLUE, label: str | None = None) -> None:
    """Draw estimates with their intervals."""
    axes.vlines(places, [one.low for one in values], [one.high for one in values], color=color)
    axes.scatter(places, [one.value for one in values], color=color, s=24, label=label, zorder=3)
