"""Render the evaluation page. In: metrics, labels and predictions. Out: one HTML page with embedded plots."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}"
    "td+td{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}"
)
MARGINS = {"left": 0.08, "right": 0.98, "bottom": 0.06, "top": 0.96, "wspace": 0.3, "hspace": 0.25}
"""Positions of the plots, as fractions. Letting matplotlib compute them takes as long as drawing."""
BINS = 10
"""Bins of the calibration curve, with equal numbers of rows."""


class Judged(Struct, frozen=True, eq=False):
    """Data of the plots. ``classes`` is None for regression."""

    classes: Sequence[Any] | None
    labels: Matrix
    predicted: Matrix
    threshold: float


def render(title: str, metrics: Mapping[str, float], rows: Judged, *, plots: bool) -> str:
    """Return the page. Equal input gives equal text."""
    lines = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.6g}</td></tr>" for name, value in metrics.items())
    picture = f'<img alt="" src="data:image/png;base64,{base64.b64encode(draw(rows)).decode()}">' if plots else ""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1><p>{len(rows.labels):,} rows</p><table>{lines}</table>{picture}"
    return f'<!doctype html><html lang="en">{head}{body}</html>\n'


def draw(rows: Judged) -> bytes:
    """Return a PNG: four curves for two classes, the confusion matrix for more, the residuals for regression."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if rows.classes is None:
        figure = Figure(figsize=(10, 4.5))
        _residuals(figure.subplots(1, 2, gridspec_kw=MARGINS | {"bottom": 0.12, "top": 0.92}), rows)
    elif rows.predicted.ndim == 1:
        figure = Figure(figsize=(10, 9))
        _binary(figure.subplots(2, 2, gridspec_kw=MARGINS), rows)
    else:
        figure = Figure(figsize=(6, 5.5))
        FigureCanvasAgg(figure)
        _confusion(figure.subplots(), rows, rows.predicted.argmax(axis=1))
        figure.tight_layout()
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return picture.getvalue()


def _binary(axes: Any, rows: Judged) -> None:
    from sklearn.metrics import precision_recall_curve, roc_curve

    labels, predicted = rows.labels, rows.predicted
    roc, recall, calibration, confusion = axes.flat
    if 0 < labels.sum() < len(labels):
        false_positive, true_positive, _ = roc_curve(labels, predicted)
        roc.plot(false_positive, true_positive)
        precisions, recalls, _ = precision_recall_curve(labels, predicted)
        recall.plot(recalls, precisions)
    roc.plot([0, 1], [0, 1], linestyle=":", color="grey")
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    recall.axhline(labels.mean(), linestyle=":", color="grey")
    recall.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    _calibration(calibration, labels, predicted)
    _confusion(confusion, rows, (predicted >= rows.threshold).astype(int))


def _calibration(axes: Any, labels: Matrix, predicted: Matrix) -> None:
    import numpy as np

    bins = np.array_split(np.argsort(predicted, kind="stable"), min(BINS, len(predicted)))
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot([predicted[part].mean() for part in bins], [labels[part].mean() for part in bins], marker="o")
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share")


def _confusion(axes: Any, rows: Judged, decided: Matrix) -> None:
    import numpy as np

    names = [str(name)[:20] for name in rows.classes or ()]
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (rows.labels, decided), 1)
    axes.imshow(counts, cmap="Blues")
    ticks = range(len(names))
    axes.set(title="Confusion", xlabel="predicted", ylabel="true")
    axes.set_xticks(ticks, names, rotation=45 if len(names) > 4 else 0)
    axes.set_yticks(ticks, names)
    if len(names) <= 12:
        for (true, found), count in np.ndenumerate(counts):
            dark = count > counts.max() / 2
            axes.text(found, true, f"{count:,}", ha="center", va="center", color="white" if dark else "black")


def _residuals(axes: Any, rows: Judged) -> None:
    scatter, spread = axes
    residuals = rows.labels - rows.predicted
    scatter.scatter(rows.predicted, residuals, s=4, alpha=0.4, rasterized=True)
    scatter.axhline(0, linestyle=":", color="grey")
    scatter.set(title="Residuals", xlabel="predicted", ylabel="true minus predicted")
    spread.hist(residuals, bins=40)
    spread.set(title="Spread of the residuals", xlabel="true minus predicted", ylabel="rows")
