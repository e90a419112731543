"""Plot SHAP values. In: SHAP values. Out: a folder with one page and its PNG plots.

The bars and the beeswarm are drawn here as shap draws them. Importing shap for its plots alone, with numba and pyplot,
takes 1.6 s of CPU, four times as long as drawing.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation

SHOWN = 15
"""Number of features in the bars and the beeswarm."""
DEPENDENCES = 3
"""Number of features with a dependence plot."""
BINS = 100
"""Number of bins along a feature's line of the beeswarm. Rows in the same bin are stacked."""
HALF_LINE = 0.4
"""Maximum distance of a point from its feature's line, in lines."""
ENTRY = "index.html"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td{padding:.2rem .9rem .2rem 0;border-bottom:1px solid #ddd}img{max-width:100%}"
)


def write(folder: Path, title: str, found: Explanation, frame: pd.DataFrame, *, plots: bool) -> Path:
    """Write the page and return its folder. ``frame`` has the explained rows. Equal input gives equal bytes."""
    folder.mkdir(parents=True)
    pictures = _draw(folder, found, frame) if plots else []
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{share:.2%}</td></tr>" for name, share in found.importance.items()
    )
    shown = "".join(f'<h2>{html.escape(caption)}</h2><img alt="" src="{name}">' for name, caption in pictures)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    about = f"<h1>{html.escape(title)}</h1><p>SHAP values of {len(found.values):,} rows, in the model's margin.</p>"
    page = f'<!doctype html><html lang="en">{head}{about}<table>{rows}</table>{shown}</html>\n'
    (folder / ENTRY).write_text(page, encoding="utf-8")
    return folder


def _draw(folder: Path, found: Explanation, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Save the plots and return their names and captions; with several classes, each has its own plots."""
    import numpy as np

    numbers = _numbers(frame, found.features)
    top = list(found.importance)[:DEPENDENCES]
    pictures = []

    def picture(name: str, caption: str, draw: Callable[[Any], Any]) -> None:
        _save(folder / name, draw)
        pictures.append((name, caption))

    for which in range(found.values.shape[2]):
        of_class = "" if found.classes is None else f" of class {found.classes[which]}"
        suffix = "" if found.classes is None else f"_{which}"
        values = found.values[:, :, which]
        sizes = np.abs(values).mean(axis=0)
        order = np.argsort(-sizes, kind="stable")
        names = [found.features[index] for index in order[:SHOWN]]
        bars = partial(_bars, names, sizes[order])
        picture(f"bar{suffix}.png", f"Mean absolute value{of_class}", bars)
        swarm = partial(_beeswarm, names, values[:, order[:SHOWN]], numbers[:, order[:SHOWN]])
        picture(f"beeswarm{suffix}.png", f"Value of each row{of_class}", swarm)
        for rank, name in enumerate(top, start=1):
            dependence = partial(_dependence, frame[name], values[:, found.features.index(name)])
            picture(f"dependence_{rank}{suffix}.png", f"Dependence on {name}{of_class}", dependence)
    return pictures


def _save(path: Path, draw: Callable[[Any], Any]) -> None:
    """Draw on a separate figure: pyplot's global figures are not changed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=90, metadata={"Software": None})


def _bars(names: list[str], sizes: Matrix, axes: Any) -> None:
    """Draw the largest mean absolute values, and the sum of the features not shown."""
    shown = list(sizes[: len(names)])
    labels = list(names)
    if len(sizes) > len(names):
        labels.append(f"{len(sizes) - len(names)} other features")
        shown.append(float(sizes[len(names) :].sum()))
    bars = axes.barh(range(len(shown)), shown, color="#ff0051", height=0.7)
    axes.bar_label(bars, fmt="%.3g", padding=3, color="#ff0051")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="mean absolute SHAP value")
    axes.spines[["top", "right"]].set_visible(False)


def _beeswarm(names: list[str], values: Matrix, numbers: Matrix, axes: Any) -> None:
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


def _dependence(column: pd.Series[Any], values: Matrix, axes: Any) -> None:
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):
        axes.scatter(_floats(column), values, s=6, alpha=0.5)
    else:
        common = [str(name) for name in column.value_counts().index[:20]]
        axes.boxplot([values[(column.astype(str) == name).to_numpy()] for name in common], tick_labels=common)
        axes.tick_params(axis="x", rotation=60)
    axes.axhline(0, linestyle=":", color="grey")
    axes.set(xlabel=str(column.name), ylabel="SHAP value")


def _floats(column: pd.Series[Any]) -> Matrix:
    """Return a column of numbers as floats, NaN where it is missing."""
    import numpy as np

    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers(frame: pd.DataFrame, features: list[str]) -> Matrix:
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
