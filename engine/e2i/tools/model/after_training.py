"""Run ``model.calibrate``, ``model.threshold`` and ``model.conformal``. In: a model and held-out rows. Out: a model.

The model is that of the input with more numbers in its manifest, which ``estimators.deciding`` applies wherever the
model predicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.artifacts import Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import calibrating, metrics, saved, thresholds
from e2i.estimators import conformal as conforming
from e2i.tools.model import after_page, decisions, evaluation, judged, quantile_ends
from e2i.tools.model.judged import keep_page
from e2i.tools.model.params.after_training import (
    CalibrateOutputs,
    CalibrateParams,
    ConformalOutputs,
    ConformalParams,
    ThresholdOutputs,
    ThresholdParams,
)

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.artifacts import Table
    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix, Scorer

MANY_GROUPS = 1_000


class Held(Struct, frozen=True, eq=False):
    """A model with held-out rows: labels (n,), and predictions as of ``Scorer.predict``."""

    scorer: Scorer
    frame: pd.DataFrame
    labels: Matrix
    predicted: Matrix


def calibrate(params: CalibrateParams, ctx: StepContext) -> CalibrateOutputs:
    """Fit the calibration of a model's probabilities to held-out rows."""
    _require(params.model, "classification", "probabilities are calibrated")
    held = _held(params.model, params.table, ctx)
    if {"calibration", "threshold", "conformal"} & held.scorer.manifest.keys():
        raise StepError(
            "the model was calibrated, or has a threshold or intervals, which hold for its probabilities as they are",
            code="calibrated-late",
            hint="calibrate the model of the training step, once, and before model.threshold and model.conformal",
        )
    counts = dict(zip(held.scorer.manifest["classes"] or (), _counts(held), strict=True))
    if few := [f"{name} ({count})" for name, count in counts.items() if count < calibrating.FOLDS]:
        raise StepError(
            f"the table has fewer than {calibrating.FOLDS} rows of {', '.join(few)}",
            code="few-rows",
            hint="calibrate on more rows",
        )
    fitted = calibrating.fit(held.labels, held.predicted, params.method)
    if any(one.get("slope", 1.0) < 0 for one in fitted["maps"]):
        ctx.warn("the calibration reverses the order of the rows: the model is worse than chance on this table")
    after = calibrating.cross_fitted(held.labels, held.predicted, params.method)
    found = {
        f"{when}_{name}": value
        for when, predicted in (("before", held.predicted), ("after", after))
        for name, value in _calibration(held.labels, predicted, params.bins).items()
    }
    model = saved.keep_changed(params.model, {**held.scorer.manifest, "calibration": fitted}, ctx)
    classes = [str(name) for name in held.scorer.manifest["classes"] or ()]
    page = after_page.calibration(held.labels, held.predicted, after, classes, found, params.bins)
    report = keep_page(page, f"Calibration ({params.method}): {params.model.target}", "calibration", ctx)
    _record(found, model, ctx)
    return CalibrateOutputs(model=model, metrics=found, report=report)


def threshold(params: ThresholdParams, ctx: StepContext) -> ThresholdOutputs:
    """Choose the threshold of a model of two classes on held-out rows. Raises StepError when none keeps the limits."""
    _require(params.model, "classification", "a threshold is chosen")
    held = _held(params.model, params.table, ctx)
    if not held.scorer.binary:
        raise StepError(
            f"the model has {len(held.scorer.manifest['classes'] or ())} classes, and a threshold decides between two",
            code="wrong-task",
        )
    if min(_counts(held)) == 0:
        raise StepError("the table has rows of one class only", code="bad-validation", hint="choose on other rows")
    costs = None if params.costs is None else decisions.costs_of(params.costs, held.frame)
    curve = thresholds.curve(held.labels, held.predicted, costs)
    place = thresholds.choose(curve, params.metric, thresholds.allowed(curve, params.constraint))
    if place < 0:
        raise StepError(
            _unreachable(curve, params), code="limit-missed", hint="relax `constraint`, or improve the model"
        )
    chosen = float(curve.thresholds[place])
    found = curve.at(place) | {f"half_{name}": value for name, value in curve.at(curve.half).items()}
    about: Manifest = {**held.scorer.manifest, "threshold": chosen}
    about.pop("constraint", None)
    if params.constraint:
        about["constraint"] = {str(name): limit for name, limit in params.constraint.items()}
    model = saved.keep_changed(params.model, about, ctx)
    free = thresholds.choose(curve, params.metric, thresholds.allowed(curve, {}))
    page = after_page.threshold(curve, place, free, params, found, len(held.labels))
    report = keep_page(page, f"Threshold: {params.model.target}", "threshold", ctx)
    _record(found | {"threshold": chosen}, model, ctx)
    return ThresholdOutputs(model=model, threshold=chosen, metrics=found, report=report)


def conformal(params: ConformalParams, ctx: StepContext) -> ConformalOutputs:
    """Fit the quantiles of a model's intervals, or prediction sets, to held-out rows."""
    judged.refuse_ranking(params.model, "intervals are of classes or amounts")
    held = _held(params.model, params.table, ctx)
    least = conforming.fewest(params.level)
    if len(held.labels) < least:
        raise StepError(
            f"the table has {len(held.labels)} rows, and a level of {params.level:g} needs at least {least}",
            code="few-rows",
            hint="use more rows, or a lower level",
        )
    ends = quantile_ends.open_ends(params, held.frame, held.scorer.features, ctx)
    scores = quantile_ends.scores(ends, held.labels, held.frame) if ends else None
    if scores is None:
        scores = conforming.conformity(held.labels, held.predicted)
    fitted = conforming.fit(scores, params.level, params.by, _groups(held, params.by, least, ctx))
    model = quantile_ends.keep(params.model, held.scorer.manifest, fitted, ends, ctx)
    found = {str(group["value"]): group["quantile"] for group in fitted["groups"]}
    _record({"quantile": fitted["quantile"]}, model, ctx)
    return ConformalOutputs(model=model, quantile=fitted["quantile"], quantiles=found)


def _require(model: Model, task: str, what: str) -> None:
    if model.task != task:
        raise StepError(f"{what} for classes, and this is a model of {model.task}", code="wrong-task")


def _held(model: Model, table: Table, ctx: StepContext) -> Held:
    """Return the model and its predictions for held-out rows, with warnings of rows that it was trained on."""
    from e2i.estimators import schema

    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(table)
    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    predicted = saved.predict(scorer, frame)
    saved.report_unseen(scorer, frame, ctx)
    for warning in evaluation.trained_on(model, scorer, frame, ctx):
        ctx.warn(warning)
    return Held(scorer, frame, labels, predicted)


def _counts(held: Held) -> list[int]:
    import numpy as np

    counts: list[int] = np.bincount(held.labels, minlength=len(held.scorer.manifest["classes"] or ())).tolist()
    return counts


def _calibration(labels: Matrix, predicted: Matrix, bins: int) -> dict[str, float]:
    found = metrics.evaluate("classification", labels, predicted)
    error = calibrating.expected_error(labels, predicted, bins)
    return {"ece": error, "brier": found["brier"], "log_loss": found["log_loss"]}


def _unreachable(curve: thresholds.Curve, params: ThresholdParams) -> str:
    """Return why no threshold can be chosen: a limit that none keeps, or limits that none keeps together."""
    import numpy as np

    for name, limit in params.constraint.items():
        if not thresholds.allowed(curve, {name: limit}).any():
            best = (np.nanmax if limit.startswith(">=") else np.nanmin)(curve.figures[name])
            return (
                f"no threshold reaches {name} {limit}: the {'highest' if limit[0] == '>' else 'lowest'} is {best:.4g}"
            )
    limits = ", ".join(f"{name} {limit}" for name, limit in params.constraint.items())
    return f"no threshold keeps all of these limits: {limits}" if limits else f"{params.metric} is not defined"


def _groups(held: Held, by: str | None, least: int, ctx: StepContext) -> Matrix | None:
    """Return the value of each row's group. Raises StepError for a column that does not group rows of this model."""
    import pandas as pd

    if by is None:
        return None
    if by not in held.scorer.features:
        raise StepError(
            f"{by!r} is not a feature of the model, and a service or MLflow would not have it",
            code="bad-group",
            hint=f"features: {', '.join(held.scorer.features[:10])}",
        )
    groups = held.scorer.groups(held.frame, by)
    counts = pd.Series(groups).value_counts()
    if len(counts) > MANY_GROUPS:
        raise StepError(
            f"{by!r} has {len(counts):,} values; groups are of at most {MANY_GROUPS:,}",
            code="bad-group",
            hint="use a feature of few values",
        )
    if few := sorted(map(str, counts.index[counts < least])):
        ctx.warn(
            f"values of {by} with fewer than {least} rows get the quantile of all rows, without a level of their own: "
            f"{', '.join(few[:10])}"
        )
    return groups


def _record(found: Mapping[str, float], model: Model, ctx: StepContext) -> None:
    for key, value in found.items():
        ctx.metric(key, value)
    ctx.attach("model", model)
