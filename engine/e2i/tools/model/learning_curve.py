"""Fit a model to growing shares of the rows. In: training rows, held-out rows, a request. Out: a learning curve.

Draws of one repeat are nested: a larger share has the rows of the smaller ones. Classes keep their shares; with a
group, whole groups are drawn instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple, replace

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import intervals, learning, metrics, saved, sketch
from e2i.estimators.metrics import METRICS
from e2i.estimators.request import Request, codes, require_classes
from e2i.tools.model import growth_plot, judged, pages, slicing, tables
from e2i.tools.model.params.learning import LearningCurveOutputs, LearningCurveParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.fitting import Fitted
    from e2i.estimators.scoring import Matrix

WORTH = 0.01
"""Smallest gain that counts, as a share of the error that remains: of 1 - roc_auc, or of the log_loss."""


class Point(Struct, frozen=True):
    """A metric at one share: means over the fits, and standard deviations, None for one fit. ``rows`` is a mean."""

    share: float
    rows: int
    fits: int
    metric: str
    train: float
    train_sd: float | None
    held_out: float
    held_out_sd: float | None


class Fit(Struct, frozen=True):
    """The metrics of one model on its training rows and on the held-out ones."""

    share: float
    rows: int
    train: dict[str, float]
    held_out: dict[str, float]


def learning_curve(params: LearningCurveParams, ctx: StepContext) -> LearningCurveOutputs:
    """Fit a model to each draw of each share, and judge it on its training rows and on the held-out ones."""
    growing = Growing(params, ctx)
    chosen = metrics.choose(params.metric, growing.task)
    fits = list(growing.fits())
    points = summed(fits)
    for warning in growing.warnings():
        ctx.warn(warning)
    own = [point for point in points if point.metric == chosen]
    if len(own) < 2:
        raise StepError(
            f"{chosen} is not defined for these rows", code="undefined-metric", hint="choose another metric"
        )
    for point in own:
        ctx.metric(f"train_{chosen}", point.train, step=point.rows)
        ctx.metric(f"held_out_{chosen}", point.held_out, step=point.rows)
    text = conclusion(own)
    if params.baseline and chosen in growing.constant:
        text += f" The best constant answer has {growing.constant[chosen]:.4g} on the held-out rows."
    return LearningCurveOutputs(
        conclusion=text, curve=ctx.table(_table(points)), report=_page(params, text, points, own, ctx)
    )


class Growing:
    """The fits of a learning curve."""

    def __init__(self, params: LearningCurveParams, ctx: StepContext) -> None:
        from e2i.estimators import schema

        if list(params.shares) != sorted(set(params.shares)):
            raise StepError("`shares` must rise", code="bad-shares", hint="such as [0.1, 0.5, 1.0]")
        self.params, self.ctx = params, ctx
        self.frame, self.held_out = ctx.frame(params.table), ctx.frame(params.held_out)
        self.validation = None if params.validation is None else ctx.frame(params.validation)
        self.seed = ctx.seed if params.seed is None else params.seed
        self.task, self.classes = schema.goal(
            self.frame, params.target, params.algorithm, task=params.task, positive=params.positive
        )
        self.labels = schema.labels(self.frame, params.target, self.classes)
        self.request = replace(Request.of(params, self.seed), task=self.task)
        self.groups: Matrix | None = None
        if params.group is not None:
            slicing.check(self.frame, [params.group])
            self.groups = codes(self.frame[params.group])
        self.constant: dict[str, float] = {}
        """The metrics of the best constant answer to the rows of the last fit, on the held-out rows."""
        self.shared = 0.0
        """The largest share of held-out rows that are training rows too."""

    def fits(self) -> Iterator[Fit]:
        """Yield each fit. All rows are fitted once, since every draw of them is the same."""
        draws = [
            (share, repeat)
            for share in self.params.shares
            for repeat in range(1 if share == 1 else self.params.repeats)
        ]
        for done, (share, repeat) in enumerate(draws, start=1):
            yield self._fit(share, draw(self.labels, self.classes is not None, self.groups, share, self.seed + repeat))
            self.ctx.progress(done, len(draws), f"{share:.0%} of the rows")

    def warnings(self) -> Iterator[str]:
        if self.shared > sketch.SHARED_ROWS:
            yield f"{self.shared:.0%} of the held-out rows are training rows too, so its metrics are too good"

    def _fit(self, share: float, places: Matrix) -> Fit:
        from e2i.estimators import fitting

        rows = self.frame.iloc[places]
        try:
            require_classes(rows[self.params.target], self.classes, "training rows")
        except StepError as error:
            raise StepError(
                f"{len(rows)} rows, {share:.0%} of the training table, lack a class of the table",
                code="bad-target",
                hint="remove the smallest of `shares`, or leave `group` out",
            ) from error
        groups = None if self.groups is None else self.groups[places]
        prepared = self.request.prepare(
            rows, self.validation, threads=self.ctx.threads, groups=groups, suspicions=False
        )
        watch = learning.watch(self.params.early_stopping, self.task, prepared.loss)
        fitted = fitting.fit(prepared, self.params.params, seed=self.seed, threads=self.ctx.threads, watch=watch)
        return Fit(share, len(rows), self._measure(fitted, rows), self._measure(fitted, self.held_out, is_new=True))

    def _measure(self, fitted: Fitted, rows: pd.DataFrame, *, is_new: bool = False) -> dict[str, float]:
        from e2i.estimators import schema

        labels = schema.labels(rows, self.params.target, self.classes)
        if is_new:
            hashed = sketch.hashes(rows, fitted.scorer.manifest["features"], labels)
            self.shared = max(self.shared, sketch.share(fitted.prepared.sketch, hashed))
            self.constant = intervals.baseline(self.task, labels, fitted.prepared.constant)
        return metrics.evaluate(self.task, labels, saved.predict(fitted.scorer, rows))


def draw(labels: Matrix, is_class: bool, groups: Matrix | None, share: float, seed: int) -> Matrix:
    """Return the positions of a share of the rows (n,), in order; with groups, of a share of the groups.

    Of equal seeds, larger shares contain smaller ones. Classes keep their shares, as far as whole rows allow.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    if groups is not None:
        units = int(groups.max()) + 1
        chosen = random.permutation(units)[: max(1, math.ceil(share * units))]
        return np.flatnonzero(np.isin(groups, chosen))
    order = random.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels) if is_class else [None]:
        own = order if label is None else order[labels[order] == label]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    first = np.argsort(place, kind="stable")[: max(1, math.ceil(share * len(labels)))]
    found: Matrix = np.sort(first)
    return found


def summed(fits: Sequence[Fit]) -> list[Point]:
    """Return the points of the metrics that are defined in every fit of their share."""
    points = []
    for share in sorted({fit.share for fit in fits}):
        own = [fit for fit in fits if fit.share == share]
        for name in METRICS:
            if all(name in fit.train and name in fit.held_out for fit in own):
                train, held_out = [fit.train[name] for fit in own], [fit.held_out[name] for fit in own]
                rows = round(fmean(fit.rows for fit in own))
                points.append(
                    Point(share, rows, len(own), name, fmean(train), _sd(train), fmean(held_out), _sd(held_out))
                )
    return points


def conclusion(points: Sequence[Point]) -> str:
    """Return what the last step of the curve shows, in plain sentences.

    A gain counts when it is larger than the spread between draws, and than ``WORTH`` of the error that remains.
    """
    before, last = points[-2:]
    is_high = METRICS[last.metric].direction == "maximize"
    gain = (1 if is_high else -1) * (last.held_out - before.held_out)
    remaining = 1 - last.held_out if is_high else last.held_out
    spread = max(before.held_out_sd or 0.0, last.held_out_sd or 0.0)
    figures = (
        f"held-out {last.metric} is {before.held_out:.4g} with {before.rows:,} rows and {last.held_out:.4g} with "
        f"{last.rows:,}, where the spread between draws is {spread:.2g}"
    )
    if gain > max(spread, WORTH * abs(remaining)):
        verdict = f"The curve still improves: {figures}. More rows are likely to help."
    else:
        verdict = f"The curve is flat at its end: {figures}. More rows of this kind are unlikely to help much."
    return f"{verdict} On its training rows the last model has {last.train:.4g}."


def _sd(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _table(points: Sequence[Point]) -> pd.DataFrame:
    return tables.frame(map(astuple, points), tables.CURVE)


def _page(
    params: LearningCurveParams, text: str, points: Sequence[Point], own: Sequence[Point], ctx: StepContext
) -> Report:
    title = f"Learning curve of {params.algorithm}: {params.target}"
    picture = pages.picture(growth_plot.draw(own)) if params.plots else ""
    table = pages.table(
        ("metric", "share", "rows", "fits", "train", "sd", "held out", "sd"),
        [
            (
                *(point.metric, f"{point.share:.0%}", f"{point.rows:,}", str(point.fits)),
                *(pages.number(point.train), pages.number(point.train_sd)),
                *(pages.number(point.held_out), pages.number(point.held_out_sd)),
            )
            for point in sorted(points, key=lambda point: (list(METRICS).index(point.metric), point.share))
        ],
    )
    body = pages.paragraph(text) + pages.heading(f"{own[0].metric} by training rows") + picture + table
    return judged.keep_page(pages.document(title, body), title, "learning_curve", ctx)
