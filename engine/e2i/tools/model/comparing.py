"""Compare models on the same rows by a paired bootstrap. In: models, a table. Out: differences with intervals.

All models are judged on the same resamples (Efron and Tibshirani 1993, chapter 16), so that what makes rows hard for
every model cancels. Of several comparisons each interval has a higher level (Bonferroni), so that all of them hold
at the level together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import details, intervals, metrics
from e2i.estimators.details import JUDGED
from e2i.tools.model import evaluation, interval_plot, judged, pages, tables
from e2i.tools.model.choice import Candidate, candidates
from e2i.tools.model.evaluation import FEW_GROUPS, Judged
from e2i.tools.model.interval_plot import Line
from e2i.tools.model.params.comparing import CompareOutputs, CompareParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


class Difference(Struct, frozen=True):
    """A metric of a model minus that of the reference. ``better_share``: of the resamples, ties count one half."""

    model: str
    reference: str
    metric: str
    value: float
    reference_value: float
    difference: float
    low: float | None
    high: float | None
    better_share: float | None

    @property
    def sign(self) -> int:
        """1 when the interval is wholly on the better side, -1 on the worse side, otherwise 0."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        return 1 if (self.low > 0) == (JUDGED[self.metric].direction == "maximize") else -1


def compare(params: CompareParams, ctx: StepContext) -> CompareOutputs:
    """Judge every model on the table, and compare each with the reference."""
    found = candidates(params.models)
    reference = _reference(found, params.reference)
    others = [one for one in found if one is not reference]
    rows = _judged([reference, *others], params, ctx)
    metric = metrics.choose(params.metric, rows[reference.name].task)
    frame = ctx.frame(params.table)
    groups = None if params.group is None else evaluation.groups(frame, params.group)
    if groups is not None and int(groups.max()) + 1 < FEW_GROUPS:
        ctx.warn(f"the intervals are drawn from {int(groups.max()) + 1} groups only, and are too narrow")
    level = 1 - (1 - params.interval) / len(others)
    seed = ctx.seed if params.seed is None else params.seed
    values = {name: _metrics(one) for name, one in rows.items()}
    if metric not in values[reference.name]:
        raise StepError(
            f"{metric} is not defined for these rows", code="undefined-metric", hint="choose another `metric`"
        )
    differences = differ(rows, values, reference.name, level=level, groups=groups, seed=seed)
    decisive = [one for one in differences if one.metric == metric]
    text = conclusion(decisive, params.interval)
    for one in decisive:
        _record(one, len(others), ctx)
    ctx.param("reference", reference.name)
    return CompareOutputs(
        conclusion=text,
        better=[one.model for one in decisive if one.sign > 0],
        worse=[one.model for one in decisive if one.sign < 0],
        metrics=values,
        differences=ctx.table(_table(differences)),
        report=_page(params, text, values, differences, metric, ctx),
    )


def differ(
    rows: Mapping[str, Judged],
    values: Mapping[str, Mapping[str, float]],
    reference: str,
    *,
    level: float,
    groups: Matrix | None,
    seed: int,
) -> list[Difference]:
    """Return the difference of each model and metric from the reference, one of ``rows``, on equal resamples."""
    import numpy as np

    paired = np.arange(len(rows[reference].labels)) if groups is None else groups
    drawn = {name: intervals.draws(one.measurable(), groups=paired, seed=seed) for name, one in rows.items()}
    found = []
    for name in (name for name in rows if name != reference):
        for metric in (metric for metric in values[name] if metric in values[reference] and metric in drawn[name]):
            change = drawn[name][metric] - drawn[reference][metric]
            bounds = intervals.interval(change, level)
            low, high = bounds or (None, None)
            own, theirs = values[name][metric], values[reference][metric]
            share = None if bounds is None else _better_share(change, metric)
            found.append(Difference(name, reference, metric, own, theirs, own - theirs, low, high, share))
    return found


def conclusion(decisive: Sequence[Difference], level: float) -> str:
    """Return a plain sentence for each compared model."""
    together = "" if len(decisive) == 1 else f" The {len(decisive)} intervals hold together at {level:.0%}."
    return " ".join(_sentence(one, level if len(decisive) == 1 else None) for one in decisive) + together


def _sentence(one: Difference, level: float | None) -> str:
    figures = f"{one.metric} {one.value:.4g} against {one.reference_value:.4g}"
    if one.low is None or one.high is None:
        return f"{one.model} and {one.reference} cannot be compared: {figures}, and the difference has no interval."
    named = "interval" if level is None else f"{level:.0%} interval"
    figures += f", a difference of {one.difference:.3g} ({named} {one.low:.3g} to {one.high:.3g})"
    if one.sign == 0:
        return f"These rows do not show which of {one.model} and {one.reference} is better: {figures}."
    return f"{one.model} is {'better' if one.sign > 0 else 'worse'} than {one.reference}: {figures}."


def _reference(found: Sequence[Candidate], name: str | None) -> Candidate:
    if name is None:
        return found[0]
    for one in found:
        if one.name == name:
            return one
    raise StepError(
        f"no model is named {name!r}", code="unknown-name", hint=f"names: {', '.join(one.name for one in found)}"
    )


def _judged(found: Sequence[Candidate], params: CompareParams, ctx: StepContext) -> dict[str, Judged]:
    """Return the rows with the predictions of each model. All of them predict the same classes, in the same order."""
    rows: dict[str, Judged] = {}
    positive, first = params.positive, found[0]
    for one in found:
        if (one.model.task, one.model.target) != (first.model.task, first.model.target):
            raise StepError(
                f"{one.name} predicts {one.model.target} ({one.model.task}), {first.name} {first.model.target} "
                f"({first.model.task})",
                code="wrong-task",
                hint="compare models of one target",
            )
        opened = judged.open_rows(one.model, params.table, ctx, positive=positive, threshold=params.threshold)
        for warning in opened.warnings:
            ctx.warn(f"{one.name}: {warning}")
        classes = opened.rows.classes
        if positive is None and classes is not None and len(classes) == 2:
            positive = classes[1]
        if rows and [str(label) for label in classes or ()] != [str(label) for label in rows[first.name].classes or ()]:
            raise StepError(f"{one.name} and {first.name} have different classes", code="wrong-task")
        rows[one.name] = opened.rows
    return rows


def _metrics(rows: Judged) -> dict[str, float]:
    found = metrics.evaluate(rows.task, rows.labels, rows.predicted, threshold=rows.threshold, groups=rows.queries)
    return found | details.describe(rows.measurable())


def _better_share(change: Matrix, metric: str) -> float:
    import numpy as np

    sign = 1 if JUDGED[metric].direction == "maximize" else -1
    return float(((np.sign(sign * change[np.isfinite(change)]) + 1) / 2).mean())


def _record(one: Difference, comparisons: int, ctx: StepContext) -> None:
    """Record a difference for trackers, by the name of the model when there are several."""
    name = "difference" if comparisons == 1 else f"difference_{one.model}"
    for key, value in ((name, one.difference), (f"{name}_low", one.low), (f"{name}_high", one.high)):
        if value is not None:
            ctx.metric(key, value)


def _table(found: Sequence[Difference]) -> pd.DataFrame:
    return tables.frame(map(astuple, found), tables.DIFFERENCES)


def _page(
    params: CompareParams,
    text: str,
    values: Mapping[str, Mapping[str, float]],
    differences: Sequence[Difference],
    metric: str,
    ctx: StepContext,
) -> Report:
    title = f"Models compared by {metric}"
    names = list(values)
    metrics_of = list(dict.fromkeys(name for one in values.values() for name in one))
    table = pages.table(
        ("metric", *names), [(name, *(pages.number(values[one].get(name)) for one in names)) for name in metrics_of]
    )
    decisive = [one for one in differences if one.metric == metric]
    picture = ""
    if params.plots:
        lines = [Line(one.model, one.difference, _bounds(one), marked=one.sign < 0) for one in decisive]
        label = f"{metric} minus that of {decisive[0].reference}"
        picture = pages.picture(interval_plot.draw(lines, label, reference=0.0, about="no difference"))
    changes = pages.table(
        ("model", "metric", "difference", "interval", "better in"),
        [
            (
                one.model,
                one.metric,
                pages.number(one.difference),
                pages.between(_bounds(one)),
                "–" if one.better_share is None else f"{one.better_share:.0%} of resamples",
            )
            for one in differences
        ],
    )
    body = pages.paragraph(text) + pages.heading(f"Differences of {metric}") + picture + changes
    return judged.keep_page(pages.document(title, body + pages.heading("Metrics") + table), title, "comparison", ctx)


def _bounds(one: Difference) -> tuple[float, float] | None:
    return None if one.low is None or one.high is None else (one.low, one.high)
