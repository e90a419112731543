"""SHAP values go in; a folder with one page and its PNG plots comes out."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation

SHOWN = 15
"""Features in the bars and the beeswarm."""
DEPENDENCES = 3
"""Features whose dependence is drawn."""
ENTRY = "index.html"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td{padding:.2rem .9rem .2rem 0;border-bottom:1px solid #ddd}img{max-width:100%}"
)


def write(folder: Path, title: str, found: Explanation, frame: pd.DataFrame, *, plots: bool) -> Path:
    """Writes the page. ``frame`` holds the explained rows. Equal input gives equal bytes. Returns the folder."""
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
    """Saves the plots and returns their names and captions; of several classes each has its own."""
    import shap

    numbers = _numbers(frame, found.features)
    top = list(found.importance)[:DEPENDENCES]
    pictures = []

    def picture(name: str, caption: str, draw: Callable[[Any], Any]) -> None:
        _save(folder / name, draw)
        pictures.append((name, caption))

    for place in range(found.values.shape[2]):
        of_class = "" if found.classes is None else f" of class {found.classes[place]}"
        suffix = "" if found.classes is None else f"_{place}"
        shown = shap.Explanation(found.values[:, :, place], data=numbers, feature_names=found.features)
        options = {"max_display": SHOWN, "show": False}
        picture(f"bar{suffix}.png", f"Mean absolute value{of_class}", partial(_bar, shown, options))
        picture(f"beeswarm{suffix}.png", f"Value of each row{of_class}", partial(_beeswarm, shown, options))
        for rank, name in enumerate(top, start=1):
            values = found.values[:, found.features.index(name), place]
            dependence = partial(_dependence, frame[name], values)
            picture(f"dependence_{rank}{suffix}.png", f"Dependence on {name}{of_class}", dependence)
    return pictures


def _save(path: Path, draw: Callable[[Any], Any]) -> None:
    """Draws on a figure of its own: pyplot's global figures are not touched."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    with _seeded():
        draw(figure.subplots())
        figure.savefig(path, format="png", dpi=90, metadata={"Software": None})


@contextmanager
def _seeded() -> Iterator[None]:
    """shap shuffles the beeswarm's points by numpy's global generator; equal values shall give an equal picture."""
    import numpy as np

    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _bar(shown: Any, options: dict[str, Any], axes: Any) -> None:
    import shap

    shap.plots.bar(shown, ax=axes, **options)


def _beeswarm(shown: Any, options: dict[str, Any], axes: Any) -> None:
    import shap

    shap.plots.beeswarm(shown, ax=axes, plot_size=None, **options)


def _dependence(column: pd.Series[Any], values: Matrix, axes: Any) -> None:
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):
        axes.scatter(column.astype(float), values, s=6, alpha=0.5)
    else:
        common = [str(name) for name in column.value_counts().index[:20]]
        axes.boxplot([values[(column.astype(str) == name).to_numpy()] for name in common], tick_labels=common)
        axes.tick_params(axis="x", rotation=60)
    axes.axhline(0, linestyle=":", color="grey")
    axes.set(xlabel=str(column.name), ylabel="SHAP value")


def _numbers(frame: pd.DataFrame, features: list[str]) -> Matrix:
    """The features as colours for the beeswarm: numbers as they are, text by its place in alphabetical order."""
    import numpy as np
    from pandas.api import types

    columns = []
    for name in features:
        column = frame[name]
        if types.is_numeric_dtype(column.dtype):
            columns.append(column.astype(float).to_numpy())
        else:
            codes = column.astype("category").cat.codes.to_numpy()
            columns.append(np.where(codes < 0, np.nan, codes))
    return np.column_stack(columns)
