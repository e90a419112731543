"""Find the slices in which a model is worst. In: a model, a table. Out: slices with intervals.

A shallow tree over the input columns is grown on the errors of one half of the rows, and its leaves are judged on the
other half: a slice that was chosen because it looks bad would look worse than it is. Rows of a group stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import intervals, metrics
from e2i.estimators.intervals import Interval
from e2i.estimators.metrics import METRICS
from e2i.tools.model import evaluation, interval_plot, judged, pages, regions, slicing, tables
from e2i.tools.model.evaluation import Judged
from e2i.tools.model.interval_plot import Line
from e2i.tools.model.params.inspecting import ErrorsOutputs, ErrorsParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.model.regions import Region


class Weak(Struct, frozen=True):
    """A slice, and its metric beside that of the rest of the judged rows."""

    slice: str
    rows: int
    share: float
    judged: int
    metric: str
    estimate: float
    bounds: Interval | None
    rest: float
    is_worse: bool
    """True when the interval of the difference from the rest is wholly on the worse side."""


def errors(params: ErrorsParams, ctx: StepContext) -> ErrorsOutputs:
    """Grow a tree on the errors of one half of the rows, and judge its leaves on the other half."""
    judged.refuse_ranking(params.model, "slices are found by the error of each row")
    opened = judged.open_rows(params.model, params.table, ctx, positive=params.positive, threshold=params.threshold)
    for warning in opened.warnings:
        ctx.warn(warning)
    frame, rows = opened.frame, opened.rows
    default = "log_loss" if rows.task == "classification" else "mae"
    metric = metrics.choose(params.metric or default, rows.task)
    names = list(params.columns or params.model.features)
    slicing.check(frame, names)
    count = len(frame)
    if count < 2 * params.min_rows:
        raise StepError(
            f"{count} rows cannot be divided into slices of at least {params.min_rows} rows",
            code="few-rows",
            hint="lower `min_rows`, or judge a larger table",
        )
    groups = None if params.group is None else evaluation.groups(frame, params.group)
    seed = ctx.seed if params.seed is None else params.seed
    grown_on, judged_on = halves(count, groups, seed)
    least = max(1, params.min_rows // 2)
    parts = regions.find(frame, names, losses(rows, metric), grown_on, depth=params.depth, least=least)
    found = judge(rows, parts, judged_on, metric, level=params.interval, groups=groups, seed=seed)[: params.slices]
    text = _conclusion(found, count, params.interval)
    if found:
        ctx.metric(f"worst_{metric}", found[0].estimate)
    return ErrorsOutputs(
        conclusion=text, slices=ctx.table(_table(found)), report=_page(params, text, found, metric, ctx)
    )


def halves(count: int, groups: Matrix | None, seed: int) -> tuple[Matrix, Matrix]:
    """Return the positions of two halves of the rows, or of the groups."""
    import numpy as np

    own = np.arange(count) if groups is None else groups
    units = int(own.max()) + 1
    first = np.zeros(units, dtype=bool)
    first[np.random.default_rng(seed).permutation(units)[: units // 2]] = True
    return np.flatnonzero(first[own]), np.flatnonzero(~first[own])


def losses(rows: Judged, metric: str) -> Matrix:
    """Return the error of each row whose mean is the metric, the square of rmse, or 1 minus the accuracy (n,)."""
    import numpy as np

    given = rows.measurable()
    if metric == "log_loss":
        return metrics.log_losses(given)
    if metric == "accuracy":
        wrong: Matrix = (given.labels != given.decided).astype(np.float64)
        return wrong
    if metric == "brier" and not given.binary:
        squares: Matrix = ((given.predicted - given.one_hot) ** 2).sum(axis=1)
        return squares
    off: Matrix = abs(given.labels - given.predicted)
    return off if metric == "mae" else off**2


def judge(
    rows: Judged,
    parts: Sequence[Region],
    places: Matrix,
    metric: str,
    *,
    level: float,
    groups: Matrix | None,
    seed: int,
) -> list[Weak]:
    """Return the metric of each part on the rows of ``places``, the worst part first.

    The intervals of the differences from the rest are of a higher level (Bonferroni): all hold at the level together.
    """
    import numpy as np

    inside = np.zeros((len(rows.labels), len(parts)))
    for index, part in enumerate(parts):
        inside[part.places, index] = 1
    inside, found = inside[places], losses(rows, metric)[places]
    own = None if groups is None else np.unique(groups[places], return_inverse=True)[1]
    point = _means(metric, found, inside, np.ones((1, len(places))))
    blocks = [_means(metric, found, inside, weights) for weights in intervals.resamples(len(places), own, seed)]
    drawn = [np.concatenate([block[side] for block in blocks]) for side in (0, 1)]
    sign, weak = 1 if METRICS[metric].direction == "minimize" else -1, []
    for index, part in enumerate(parts):
        here = inside[:, index] == 1
        estimate, rest = (float(side[0, index]) for side in point)
        if not 0 < here.sum() < len(here):
            continue
        units = int(here.sum()) if own is None else len(np.unique(own[here]))
        bounds = intervals.interval(drawn[0][:, index], level) if units >= slicing.FEWEST else None
        change = intervals.interval(sign * (drawn[0] - drawn[1])[:, index], 1 - (1 - level) / len(parts))
        is_worse = bounds is not None and change is not None and change[0] > 0
        share = len(part.places) / len(rows.labels)
        weak.append(Weak(part.text, len(part.places), share, int(here.sum()), metric, estimate, bounds, rest, is_worse))
    return sorted(weak, key=lambda one: (-sign * one.estimate, one.slice))


def _means(metric: str, found: Matrix, inside: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    """Return the metric inside and outside of each part, in each resample (b, parts)."""
    import numpy as np

    total, sums = weights.sum(axis=1)[:, None], (weights @ found)[:, None]
    counts, errors = weights @ inside, weights @ (found[:, None] * inside)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = errors / counts, (sums - errors) / (total - counts)
        if metric == "rmse":
            means = np.sqrt(means[0]), np.sqrt(means[1])
    return (1 - means[0], 1 - means[1]) if metric == "accuracy" else means


def _conclusion(found: Sequence[Weak], count: int, level: float) -> str:
    if not found:
        return "The tree found no slices: the errors do not depend on these columns."
    worst = next((one for one in found if one.is_worse), found[0])
    bounds = "" if worst.bounds is None else f" ({level:.0%} interval {pages.between(worst.bounds)})"
    figures = (
        f"{worst.metric} {worst.estimate:.4g}{bounds} where {worst.slice} ({worst.rows:,} of {count:,} rows), against "
        f"{worst.rest:.4g} elsewhere."
    )
    return f"Worst: {figures}" if worst.is_worse else f"No slice is clearly worse than the rest. The worst: {figures}"


def _table(found: Sequence[Weak]) -> pd.DataFrame:
    lines = [
        (
            *(one.slice, one.rows, one.share, one.judged, one.metric, one.estimate),
            *(one.bounds or (None, None)),
            one.rest,
            one.is_worse,
        )
        for one in found
    ]
    return tables.frame(lines, tables.REGIONS)


def _page(params: ErrorsParams, text: str, found: Sequence[Weak], metric: str, ctx: StepContext) -> Report:
    title = f"Where {params.model.algorithm} is wrong: {params.model.target}"
    about = (
        f"{metric} of the leaves of a tree of depth {params.depth}, grown on one half of the rows and judged on the "
        f"other; {params.interval:.0%} intervals; slices that are clearly worse than the rest are orange."
    )
    picture = ""
    if params.plots and found:
        lines = [Line(one.slice, one.estimate, one.bounds, marked=one.is_worse) for one in found]
        picture = pages.picture(interval_plot.draw(lines, metric))
    table = pages.table(
        ("slice", "rows", "share", "judged", metric, "interval", "elsewhere"),
        [
            (
                *(one.slice, f"{one.rows:,}", f"{one.share:.0%}", f"{one.judged:,}", pages.number(one.estimate)),
                *(pages.between(one.bounds), pages.number(one.rest)),
            )
            for one in found
        ],
    )
    body = pages.paragraph(text) + pages.heading(f"{metric} by slice") + picture + table + pages.paragraph(about)
    return judged.keep_page(pages.document(title, body), title, "errors", ctx)
