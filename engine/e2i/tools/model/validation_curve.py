"""Fit a model with each of several values of a hyperparameter. In: training and held-out rows. Out: a validation curve.

All models are judged on the same resamples of the held-out rows, so that the difference of two values is paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple, replace

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import intervals, learning, metrics, saved, sketch
from e2i.estimators.metrics import METRICS
from e2i.estimators.request import Request
from e2i.tools.model import evaluation, growth_plot, judged, pages, tables
from e2i.tools.model.evaluation import FEW_GROUPS
from e2i.tools.model.params.fields import Scalar
from e2i.tools.model.params.validating import ValidationCurveOutputs, ValidationCurveParams

if TYPE_CHECKING:
    from e2i.estimators.fitting import Prepared
    from e2i.estimators.scoring import Matrix

CLEAR = 0.95
"""Share of the paired resamples in which a value is worse than the best one, from which it is clearly worse."""


class Point(Struct, frozen=True):
    """A metric with one value of the hyperparameter. ``worse_share`` is that of paired resamples; of ties one half."""

    value: str
    metric: str
    train: float
    held_out: float
    low: float | None
    high: float | None
    worse_share: float | None


class Fit(Struct, frozen=True, eq=False):
    """The metrics of one model, and those of the held-out rows in each resample."""

    value: Scalar
    train: dict[str, float]
    held_out: dict[str, float]
    drawn: dict[str, Matrix]


def validation_curve(params: ValidationCurveParams, ctx: StepContext) -> ValidationCurveOutputs:
    """Fit and judge a model for each value, and compare the values with the best one."""
    varying = Varying(params, ctx)
    chosen = metrics.choose(params.metric, varying.prepared.schema.task)
    fits = list(varying.fits())
    if any(chosen not in fit.train or chosen not in fit.held_out for fit in fits):
        raise StepError(
            f"{chosen} is not defined for these rows", code="undefined-metric", hint="choose another metric"
        )
    best = best_of(fits, chosen)
    points = compared(fits, best, params.interval, chosen)
    own = [point for point in points if point.metric == chosen]
    for warning in (*varying.prepared.warnings, *varying.warnings()):
        ctx.warn(warning)
    for step, point in enumerate(own):
        ctx.metric(f"train_{chosen}", point.train, step=step)
        ctx.metric(f"held_out_{chosen}", point.held_out, step=step)
    ctx.param("best", text_of(best.value))
    text = conclusion(params.parameter, own, fits.index(best), params.interval)
    return ValidationCurveOutputs(
        conclusion=text,
        best=best.value,
        curve=ctx.table(tables.frame(map(astuple, points), tables.VALIDATION)),
        report=_page(params, text, points, own, ctx),
    )


class Varying:
    """The fits of a validation curve. The rows are prepared once: they do not depend on the value."""

    def __init__(self, params: ValidationCurveParams, ctx: StepContext) -> None:
        from e2i.estimators import schema

        self.params, self.ctx = params, ctx
        self.seed = ctx.seed if params.seed is None else params.seed
        self.frame, self.held_out = ctx.frame(params.table), ctx.frame(params.held_out)
        validation = None if params.validation is None else ctx.frame(params.validation)
        task, classes = schema.goal(
            self.frame, params.target, params.algorithm, task=params.task, positive=params.positive
        )
        request = replace(Request.of(params, self.seed), task=task)
        self.prepared: Prepared = request.prepare(self.frame, validation, threads=ctx.threads)
        self.labels = schema.labels(self.held_out, params.target, classes)
        self.groups = None if params.group is None else evaluation.groups(self.held_out, params.group)
        self.shared = 0.0

    def fits(self) -> Iterator[Fit]:
        """Yield the fit of each value."""
        from e2i.estimators import fitting

        task, rows = self.prepared.schema.task, self.prepared.train
        for done, value in enumerate(self.params.values, start=1):
            watch = learning.watch(self.params.early_stopping, task, self.prepared.loss)
            chosen = {**self.params.params, self.params.parameter: value}
            fitted = fitting.fit(self.prepared, chosen, seed=self.seed, threads=self.ctx.threads, watch=watch)
            predicted = saved.predict(fitted.scorer, self.held_out)
            hashed = sketch.hashes(self.held_out, fitted.scorer.manifest["features"], self.labels)
            self.shared = sketch.share(self.prepared.sketch, hashed)
            judged_rows = metrics.rows_of(task, self.labels, predicted)
            yield Fit(
                value,
                metrics.evaluate(task, rows.labels, fitted.scorer.output(rows.matrix)),
                metrics.evaluate(task, self.labels, predicted),
                intervals.draws(judged_rows, groups=self.groups, seed=self.seed),
            )
            self.ctx.progress(done, len(self.params.values), f"{self.params.parameter} {text_of(value)}")

    def warnings(self) -> list[str]:
        """Return what makes the figures too good, or the intervals too narrow."""
        found = []
        if self.shared > sketch.SHARED_ROWS:
            found.append(f"{self.shared:.0%} of the held-out rows are training rows too, so its metrics are too good")
        if self.groups is not None and int(self.groups.max()) + 1 < FEW_GROUPS:
            found.append(f"the intervals are drawn from {int(self.groups.max()) + 1} groups only, and are too narrow")
        return found


def best_of(fits: Sequence[Fit], metric: str) -> Fit:
    """Return the fit with the best metric on the held-out rows; of equal ones the first."""
    sign = -1.0 if METRICS[metric].direction == "maximize" else 1.0
    return min(fits, key=lambda fit: sign * fit.held_out[metric])


def compared(fits: Sequence[Fit], best: Fit, level: float, chosen: str) -> list[Point]:
    """Return the points of all metrics, each compared with the value that is best by the ``chosen`` one."""
    import numpy as np

    points = []
    for fit in fits:
        for name in (name for name in METRICS if name in fit.train and name in fit.held_out):
            bounds = intervals.interval(fit.drawn[name], level) if name in fit.drawn else None
            share = None
            if bounds is not None and name in best.drawn and fit is not best:
                sign = 1 if METRICS[name].direction == "maximize" else -1
                change = sign * (best.drawn[name] - fit.drawn[name])
                share = float(((np.sign(change[np.isfinite(change)]) + 1) / 2).mean())
            low, high = bounds or (None, None)
            points.append(Point(text_of(fit.value), name, fit.train[name], fit.held_out[name], low, high, share))
    return points


def conclusion(parameter: str, points: Sequence[Point], best: int, level: float) -> str:
    """Return the best value, those that are not clearly worse, and whether the best one is at an end of the curve."""
    own = points[best]
    bounds = "" if own.low is None else f" ({level:.0%} interval {own.low:.4g} to {own.high:.4g})"
    text = f"{parameter} {own.value} has the best held-out {own.metric}, {own.held_out:.4g}{bounds}."
    near = [f"{parameter} {point.value}" for point in points if point is not own and (point.worse_share or 0.0) < CLEAR]
    text += f" Not clearly worse on these rows: {', '.join(near)}." if near else " Every other value is clearly worse."
    if best in (0, len(points) - 1):
        text += " It is at an end of `values`: a value beyond it may be better."
    return f"{text} On its training rows the best model has {own.train:.4g}."


def text_of(value: Scalar) -> str:
    """Return a value as YAML writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _page(
    params: ValidationCurveParams, text: str, points: Sequence[Point], own: Sequence[Point], ctx: StepContext
) -> Report:
    title = f"Validation curve of {params.algorithm}: {params.parameter}"
    picture = pages.picture(growth_plot.draw_values(own, params.parameter)) if params.plots else ""
    table = pages.table(
        ("metric", params.parameter, "train", "held out", f"{params.interval:.0%} interval", "worse than the best in"),
        [
            (
                *(point.metric, point.value, pages.number(point.train), pages.number(point.held_out)),
                pages.between(None if point.low is None or point.high is None else (point.low, point.high)),
                "–" if point.worse_share is None else f"{point.worse_share:.0%} of resamples",
            )
            for name in METRICS
            for point in points
            if point.metric == name
        ],
    )
    body = pages.paragraph(text) + pages.heading(f"{own[0].metric} by {params.parameter}") + picture + table
    return judged.keep_page(pages.document(title, body), title, "validation_curve", ctx)
