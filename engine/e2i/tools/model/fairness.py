"""Compare groups by how a model treats them. In: a model, a table. Out: rates, disparities, or an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import intervals
from e2i.estimators.intervals import Interval
from e2i.tools.model import disparities, evaluation, fairness_page, judged, slicing, tables
from e2i.tools.model.disparities import DISPARITIES
from e2i.tools.model.evaluation import Judged
from e2i.tools.model.params.fields import CONFIDENCE
from e2i.tools.model.params.inspecting import FairnessOutputs, FairnessParams
from e2i.tools.model.slicing import Slice

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


class Apart(Struct, frozen=True):
    """A disparity between the groups of a column, and its values in the resamples."""

    by: str
    metric: str
    estimate: float
    lowest: str
    highest: str
    drawn: Matrix

    def bounds(self, level: float) -> Interval | None:
        return intervals.interval(self.drawn, level)


def fairness(params: FairnessParams, ctx: StepContext) -> FairnessOutputs:
    """Compute the rates of each group and the disparities, and fail when a limit is exceeded."""
    judged.refuse_ranking(params.model, "groups are compared by decisions and errors")
    opened = judged.open_rows(params.model, params.table, ctx, positive=params.positive, threshold=params.threshold)
    rows = opened.rows
    for warning in opened.warnings:
        ctx.warn(warning)
    units = None if params.group is None else evaluation.groups(opened.frame, params.group)
    seed = ctx.seed if params.seed is None else params.seed
    measured, apart = [], []
    for by in params.by:
        slices = _compared(slicing.cut(opened.frame, [by]), params.min_rows, ctx)
        found, differences = measure(rows, slices, level=params.interval, groups=units, seed=seed)
        measured += found
        apart += differences
    worst = _worst(apart)
    for name, one in worst.items():
        ctx.metric(name, one.estimate)
    if rows.positive is not None:
        ctx.param("positive_class", rows.positive)
    title = f"Fairness of {params.model.algorithm}: {params.model.target}"
    page = fairness_page.render(title, rows, measured, apart, params)
    report = judged.keep_page(page, title, "fairness", ctx)
    require(apart, params.at_least, params.at_most)
    return FairnessOutputs(
        worst={name: one.estimate for name, one in worst.items()},
        disparities=ctx.table(_table(apart, params.interval)),
        groups=ctx.table(slicing.table(measured)),
        report=report,
    )


def measure(
    rows: Judged, slices: Sequence[Slice], *, level: float, groups: Matrix | None, seed: int
) -> tuple[list[slicing.Measured], list[Apart]]:
    """Return the rates of each group of one column, and the disparities between the groups. Empty without groups."""
    import numpy as np

    if not slices:
        return [], []
    count, shape = len(rows.labels), disparities.shape_of(rows)
    inside = np.zeros((count, len(slices)))
    for index, one in enumerate(slices):
        inside[one.places, index] = 1
    numbers = disparities.parts(rows)
    point = disparities.rates(numbers, inside, np.ones((1, count)))
    drawn = [disparities.rates(numbers, inside, weights) for weights in intervals.resamples(count, groups, seed)]
    each = {name: np.concatenate([block[name] for block in drawn]) for name in point}
    between, apart = disparities.compare(each, shape), []
    for name, value in disparities.compare(point, shape).items():
        ends = disparities.extremes(point, name)
        if ends is not None:
            lowest, highest = (slices[end].value for end in ends)
            apart.append(Apart(slices[0].by, name, float(value[0]), lowest, highest, between[name]))
    return [_measured(one, index, point, each, level) for index, one in enumerate(slices)], apart


def require(apart: Sequence[Apart], at_least: Mapping[str, float], at_most: Mapping[str, float]) -> None:
    """Raise StepError for each disparity that exceeds its limit, or whose interval does."""
    missed = []
    for limits, is_least in ((at_least, True), (at_most, False)):
        level = limits.get(CONFIDENCE)
        for name, limit in limits.items():
            found = [one for one in apart if one.metric == name]
            if name != CONFIDENCE and not found:
                missed.append(f"{name} is not defined: fewer than two groups can be compared")
            missed += [text for one in found if (text := _missed(one, limit, level, is_least))]
    if missed:
        raise StepError("; ".join(missed), code="limit-missed", hint="improve the model, or change the limit")


def _missed(one: Apart, limit: float, level: float | None, is_least: bool) -> str | None:
    bounds = None if level is None else one.bounds(level)
    value = one.estimate if level is None else bounds and bounds[0 if is_least else 1]
    if value is not None and (value >= limit if is_least else value <= limit):
        return None
    what = one.metric if level is None else f"the bound of the {level:.0%} interval of {one.metric}"
    found = "not defined" if value is None else f"{value:.4g}"
    wanted = f"{'at least' if is_least else 'at most'} {limit:g}"
    return f"{what} by {one.by} is {found}, not {wanted} (lowest {one.lowest}, highest {one.highest})"


def _compared(slices: Sequence[Slice], least: int, ctx: StepContext) -> list[Slice]:
    small = [f"{one.value} ({len(one.places)})" for one in slices if len(one.places) < least]
    if small:
        ctx.warn(f"groups of {slices[0].by} with fewer than {least} rows are not compared: {', '.join(small[:10])}")
    kept = [one for one in slices if len(one.places) >= least]
    if len(kept) < 2:
        ctx.warn(f"{slices[0].by} has fewer than two groups that can be compared")
    return kept


def _measured(
    one: Slice, index: int, point: Mapping[str, Matrix], each: Mapping[str, Matrix], level: float
) -> slicing.Measured:
    import math

    found = {name: float(values[0, index]) for name, values in point.items() if math.isfinite(values[0, index])}
    bounds = {name: intervals.interval(each[name][:, index], level) for name in found}
    known = {name: interval for name, interval in bounds.items() if interval is not None}
    return slicing.Measured(one.by, one.value, len(one.places), found, known)


def _worst(apart: Sequence[Apart]) -> dict[str, Apart]:
    found: dict[str, Apart] = {}
    for one in apart:
        sign = -1 if DISPARITIES[one.metric].is_ratio else 1
        if one.metric not in found or sign * one.estimate > sign * found[one.metric].estimate:
            found[one.metric] = one
    return found


def _table(apart: Sequence[Apart], level: float) -> pd.DataFrame:
    lines = [
        (one.by, one.metric, one.estimate, *(one.bounds(level) or (None, None)), one.lowest, one.highest)
        for one in apart
    ]
    return tables.frame(lines, tables.DISPARITIES)
