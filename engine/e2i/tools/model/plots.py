"""Draw the plots of an evaluation. In: labels and predictions. Out: a PNG.

Rows with equal predictions stay together: a curve never depends on the order of rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from e2i.estimators import calibrating, ranking

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.tools.model.evaluation import Judged

PLACES = 20
"""Most places up to which an order is judged in a plot."""
MARGINS = {"left": 0.08, "right": 0.98, "bottom": 0.06, "top": 0.96, "wspace": 0.3, "hspace": 0.25}
"""Positions of the plots, as fractions. Letting matplotlib compute them takes as long as drawing."""
CURVES = 8
"""Most classes with a curve of their own: the most frequent ones."""


def draw(rows: Judged) -> bytes:
    """Return a PNG: curves and the confusion matrix for classes, the residuals for regression, NDCG of a ranking."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if rows.queries is not None:
        figure = Figure(figsize=(10, 4.5))
        _queries(figure.subplots(1, 2, gridspec_kw=MARGINS | {"bottom": 0.12, "top": 0.92}), rows, rows.queries)
    elif rows.classes is None:
        figure = Figure(figsize=(10, 4.5))
        _residuals(figure.subplots(1, 2, gridspec_kw=MARGINS | {"bottom": 0.12, "top": 0.92}), rows)
    else:
        figure = Figure(figsize=(10, 9))
        _classes(figure.subplots(2, 2, gridspec_kw=MARGINS), rows)
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90, metadata={"Software": None})
    return picture.getvalue()


def _classes(axes: Any, rows: Judged) -> None:
    roc, recall, bands, confusion = axes.flat
    counts: list[int] = []
    for name, labels, predicted in _curves(rows):
        _ranking(roc, recall, name, labels, predicted)
        points = calibrating.curve(labels, predicted)
        below = [max(0.0, one.observed - one.low) for one in points]  # a rounding below 0 for a share of 0 or 1
        heights = [below, [max(0.0, one.high - one.observed) for one in points]]
        predictions, shares = [one.predicted for one in points], [one.observed for one in points]
        bands.errorbar(predictions, shares, yerr=heights, marker="o", capsize=2, label=name)
        counts += [one.rows for one in points]
    for plot in (roc, bands):
        plot.plot([0, 1], [0, 1], linestyle=":", color="grey")
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    recall.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    fewest, most = min(counts), max(counts)
    each = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    bands.set(
        title=f"Calibration: {each} rows a point, 95 % bands", xlabel="predicted probability", ylabel="observed share"
    )
    if rows.positive is None:
        roc.legend(fontsize=8)
    decided = (rows.predicted >= rows.threshold).astype(int) if rows.positive else rows.predicted.argmax(axis=1)
    _confusion(confusion, rows, decided)


def _curves(rows: Judged) -> Iterator[tuple[str, Matrix, Matrix]]:
    """Yield name, labels of 0 and 1, and predictions of each class with a curve."""
    import numpy as np

    if rows.positive is not None:
        yield rows.positive, rows.labels, rows.predicted
        return
    counts = np.bincount(rows.labels, minlength=rows.predicted.shape[1])
    for index in sorted(np.argsort(-counts, kind="stable")[:CURVES]):
        yield str((rows.classes or ())[index])[:20], (rows.labels == index).astype(np.int32), rows.predicted[:, index]


def _ranking(roc: Any, recall: Any, name: str, labels: Matrix, predicted: Matrix) -> None:
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not 0 < labels.sum() < len(labels):
        return
    false_positive, true_positive, _ = roc_curve(labels, predicted)
    (line,) = roc.plot(false_positive, true_positive, label=name)
    precisions, recalls, _ = precision_recall_curve(labels, predicted)
    recall.step(recalls, precisions, where="post", color=line.get_color())
    recall.axhline(labels.mean(), linestyle=":", color=line.get_color(), alpha=0.6)


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


def _queries(axes: Any, rows: Judged, queries: Matrix) -> None:
    """Draw NDCG by the number of places that count, beside a random order, and its spread over the queries."""
    import numpy as np

    by_places, spread = axes
    places = range(1, PLACES + 1)
    for name, scores in (("model", rows.predicted), ("random order", np.zeros(len(rows.labels)))):
        found = ranking.ndcg(rows.labels, scores, queries, places)
        means = [float(np.nanmean(values)) for values in found if np.isfinite(values).any()]
        by_places.plot(places[: len(means)], means, marker=".", label=name)
    by_places.set(title="NDCG by places", xlabel="places that count", ylabel="mean NDCG", ylim=(0, 1.02))
    by_places.legend()
    (whole,) = ranking.ndcg(rows.labels, rows.predicted, queries, [len(rows.labels)])
    spread.hist(whole[np.isfinite(whole)], bins=20, range=(0, 1))
    spread.set(title="Spread over the queries", xlabel="NDCG", ylabel="queries")
