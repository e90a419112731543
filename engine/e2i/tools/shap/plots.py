"""Draw SHAP values. In: SHAP values and axes. Out: the drawing; ``save`` writes it as a PNG file.

Bars, beeswarms and waterfalls are drawn as shap draws them. Importing shap for its plots alone, with numba and pyplot,
takes 1.6 s of CPU, four times as long as drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

SHOWN = 15
"""Number of features in the bars and the beeswarm."""
BINS = 100
"""Number of bins along a feature's line of the beeswarm. Rows in the same bin are stacked."""
HALF_LINE = 0.4
"""Maximum distance of a point from its feature's line, in lines."""
STEPS = 10
"""Number of features in a waterfall; the others are one step."""
PAIRED = 10
"""Number of features among which interactions are shown."""
RAISES, LOWERS = "#ff0051", "#008bfb"


def save(path: Path, draw: Callable[[Any], Any]) -> None:
    """Draw on a separate figure: pyplot's global figures are not changed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=90, metadata={"Software": None})


def bars(names: list[str], sizes: Matrix, axes: Any) -> None:
    """Draw the largest mean absolute values, and the sum of the features not shown."""
    shown = list(sizes[: len(names)])
    labels = list(names)
    if len(sizes) > len(names):
        labels.append(f"{len(sizes) - len(names)} other features")
        shown.append(float(sizes[len(names) :].sum()))
    bars = axes.barh(range(len(shown)), shown, color=RAISES, height=0.7)
    axes.bar_label(bars, fmt="%.3g", padding=3, color=RAISES)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="mean absolute SHAP value")
    axes.spines[["top", "right"]].set_visible(False)


def beeswarm(names: list[str], values: Matrix, numbers: Matrix, axes: Any) -> None:
    """Draw a point for each row on its feature's line: SHAP value as position, feature value as colour."""
    import numpy as np

    lines = np.empty_like(values)
    for which in range(len(names)):
        lines[:, which] = which + _offsets(values[:, which])
    points = axes.scatter(
        values.ravel(),
        lines.ravel(),
        c=_shades(numbers).ravel(),
        cmap="coolwarm",
        s=6,
        linewidths=0,
        plotnonfinite=True,
    )
    axes.axvline(0, color="grey", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="SHAP value")
    axes.spines[["top", "right"]].set_visible(False)
    bar = axes.figure.colorbar(points, ax=axes, ticks=[0, 1], label="value of the feature", aspect=40)
    bar.set_ticklabels(["low", "high"])


def _offsets(values: Matrix) -> Matrix:
    """Return each point's distance from the line: alternately to both sides where points overlap, by row number."""
    import numpy as np

    low, high = float(values.min()), float(values.max())
    bins = np.round((BINS - 1) * (values - low) / (high - low or 1.0)).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    _, starts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    layers = np.empty(len(values))
    layers[order] = np.arange(len(values)) - np.repeat(starts, counts)
    signed = np.ceil(layers / 2) * np.where(layers % 2 == 0, 1.0, -1.0)
    offsets: Matrix = signed * HALF_LINE / max(1.0, float(np.abs(signed).max()))
    return offsets


def _shades(numbers: Matrix) -> Matrix:
    """Return each feature's values from 0 (its 5th percentile) to 1 (its 95th); NaN where missing."""
    import numpy as np

    shades = np.full(numbers.shape, np.nan)
    for which in range(numbers.shape[1]):
        column = numbers[:, which]
        if np.isfinite(column).any():
            low, high = np.nanpercentile(column, [5, 95])
            shades[:, which] = np.clip((column - low) / ((high - low) or 1.0), 0, 1)
    return shades


def dependence(column: pd.Series[Any], values: Matrix, axes: Any) -> None:
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):
        axes.scatter(_floats(column), values, s=6, alpha=0.5)
    else:
        common = [str(name) for name in column.value_counts().index[:20]]
        axes.boxplot([values[(column.astype(str) == name).to_numpy()] for name in common], tick_labels=common)
        axes.tick_params(axis="x", rotation=60)
    axes.axhline(0, linestyle=":", color="grey")
    axes.set(xlabel=str(column.name), ylabel="SHAP value")


def waterfall(names: Sequence[str], values: Matrix, given: Sequence[Any], base: float, axes: Any) -> None:
    """Draw one row's way from the expected value to its margin, the largest value on top; ``given`` are the features'
    own values.
    """
    import numpy as np

    order = np.argsort(-np.abs(values), kind="stable")
    top, rest = order[:STEPS], order[STEPS:]
    labels = [f"{names[index]} = {_shown(given[index])}" for index in top]
    steps = [float(values[index]) for index in top]
    if len(rest):
        labels.append(f"{len(rest)} other features")
        steps.append(float(values[rest].sum()))
    starts = base + np.cumsum([0.0, *steps[::-1]])[:-1][::-1]
    bars = axes.barh(range(len(steps)), steps, left=starts, color=[RAISES if s > 0 else LOWERS for s in steps])
    axes.bar_label(bars, [f"{step:+.3g}" for step in steps], padding=3, fontsize=9)
    axes.axvline(base, linestyle=":", color="grey", linewidth=0.8)
    axes.axvline(base + float(values.sum()), color="grey", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.use_sticky_edges = False
    axes.margins(x=0.15)
    axes.set(xlabel=f"from the expected value {base:.4g} to the margin {base + float(values.sum()):.4g}")
    axes.spines[["top", "right"]].set_visible(False)


def pairs(names: Sequence[str], sizes: Matrix, axes: Any) -> None:
    """Draw the mean absolute interactions (p, p) as a grid, a pair's in one cell; the diagonal is a feature's own."""
    import numpy as np

    whole = sizes + sizes.T - np.diag(np.diag(sizes))  # a pair has two halves
    shown = np.where(np.tri(len(names), dtype=bool), whole, np.nan)
    picture = axes.imshow(shown, cmap="Reds", vmin=0.0)
    for i in range(len(names)):
        for j in range(i + 1):
            dark = whole[i, j] > 0.6 * float(np.nanmax(shown))
            axes.text(
                j, i, f"{whole[i, j]:.2g}", ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
    axes.figure.colorbar(picture, ax=axes, label="mean absolute interaction", aspect=40)


def interaction(column: pd.Series[Any], values: Matrix, other: Matrix, name: str, axes: Any) -> None:
    """Draw the interaction of two features: along the first, coloured by the second."""
    numeric = numbers(column.to_frame(), [str(column.name)])[:, 0]
    points = axes.scatter(numeric, values, c=_shades(other[:, None])[:, 0], cmap="coolwarm", s=8, plotnonfinite=True)
    if (texts := _texts(column)) is not None:
        axes.set_xticks(range(len(texts)), texts, rotation=45, ha="right")
    axes.axhline(0, linestyle=":", color="grey")
    axes.set(xlabel=str(column.name), ylabel=f"interaction with {name}")
    axes.spines[["top", "right"]].set_visible(False)
    bar = axes.figure.colorbar(points, ax=axes, ticks=[0, 1], label=name, aspect=40)
    bar.set_ticklabels(["low", "high"])


def _texts(column: pd.Series[Any]) -> list[str] | None:
    """Return the texts of a column in the order of their numbers; None for numbers."""
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):
        return None
    return [str(value)[:20] for value in column.astype("category").cat.categories][:20]


def _shown(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:20]


def _floats(column: pd.Series[Any]) -> Matrix:
    """Return a column of numbers as floats, NaN where it is missing."""
    import numpy as np

    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def numbers(frame: pd.DataFrame, features: list[str]) -> Matrix:
    """Return the features as colours for the beeswarm: numbers as they are, text by its alphabetical rank."""
    import numpy as np
    from pandas.api import types

    columns = []
    for name in features:
        column = frame[name]
        if types.is_numeric_dtype(column.dtype):
            columns.append(_floats(column))
        else:
            codes = column.astype("category").cat.codes.to_numpy()
            columns.append(np.where(codes < 0, np.nan, codes))
    return np.column_stack(columns)
