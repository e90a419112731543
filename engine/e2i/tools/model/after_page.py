"""Render the pages of calibration and of thresholds. In: figures and curves. Out: one HTML page with a plot."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from e2i.estimators import calibrating
from e2i.tools.model import pages

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.estimators.thresholds import Curve
    from e2i.tools.model.params.after_training import ThresholdParams

CURVES = 8
"""Most classes with a curve of their own."""


def calibration(
    labels: Matrix, before: Matrix, after: Matrix, classes: Sequence[str], found: Mapping[str, float], bins: int
) -> str:
    """Return the page of a calibration: the figures, and the reliability of both probabilities."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.8))
    for axes, name, predicted in zip(figure.subplots(1, 2), ("before", "after"), (before, after), strict=True):
        shown = [(1, predicted)] if predicted.ndim == 1 else list(enumerate(predicted.T[:CURVES]))
        for index, shares in shown:
            points = calibrating.curve((labels == index).astype("int64"), shares, bins)
            heights = [
                [max(0.0, one.observed - one.low) for one in points],
                [max(0.0, one.high - one.observed) for one in points],
            ]
            predictions, observed = [one.predicted for one in points], [one.observed for one in points]
            axes.errorbar(predictions, observed, yerr=heights, marker="o", capsize=2, label=classes[index][:20])
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set(title=name, xlabel="predicted probability", ylabel="observed share")
        axes.legend(fontsize=8)
    lines = [[name, f"{found[f'before_{name}']:.4g}", f"{found[f'after_{name}']:.4g}"] for name in _names(found)]
    about = (
        f"{len(labels):,} rows; at most {bins} bins of equal numbers of rows, 95 % bands. Figures and curve after "
        f"calibration: {calibrating.FOLDS} parts of the rows, each calibrated by the others."
    )
    return _page("Calibration", about, ["figure", "before", "after"], lines, figure)


def threshold(
    curve: Curve, place: int, free: int, params: ThresholdParams, found: Mapping[str, float], rows: int
) -> str:
    """Return the page of a threshold: the figures there and at 0.5, and the curve that it was chosen from.

    ``free`` is the place that would be chosen without the constraint.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5))
    axes, metric = figure.subplots(), params.metric
    chosen = float(curve.thresholds[place])
    if metric is None and curve.cost is not None:
        axes.plot(curve.thresholds, curve.cost, drawstyle="steps-pre")
        axes.set(title="Cost of the decisions", xlabel="threshold", ylabel="mean cost per row")
    else:
        for name in dict.fromkeys((str(metric), "precision", "recall")):
            axes.plot(curve.thresholds, curve.figures[name], drawstyle="steps-pre", label=name)
        axes.set(title="Decisions by threshold", xlabel="threshold", ylim=(0, 1.02))
        axes.legend(fontsize=8)
    axes.axvline(chosen, color="black", linewidth=1)
    axes.axvline(0.5, color="grey", linestyle=":")
    names = [name for name in found if not name.startswith("half_")]
    lines = [[name, f"{found[name]:.4g}", f"{found.get(f'half_{name}', float('nan')):.4g}"] for name in names]
    about = f"{rows:,} rows; the threshold was chosen on these rows, so its figures there are somewhat too good."
    if free != place:
        limits = ", ".join(f"{name} {limit}" for name, limit in params.constraint.items())
        name, other = metric or "cost", float(curve.thresholds[free])
        about += f" It keeps {limits}: without that, {other:.4g} has a {name} of {curve.at(free)[name]:.4g}."
    return _page("Threshold", about, ["figure", f"at {chosen:.4g}", "at 0.5"], lines, figure)


def _names(found: Mapping[str, float]) -> list[str]:
    return [name.removeprefix("before_") for name in found if name.startswith("before_")]


def _page(title: str, about: str, head: Sequence[str], lines: Sequence[Sequence[str]], figure: Any) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90, metadata={"Software": None})
    table = pages.table(head, lines)
    return pages.document(title, pages.paragraph(about) + table + pages.picture(drawn.getvalue()))
