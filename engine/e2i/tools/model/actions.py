"""Run ``model.*``. In: parameters. Out: models, metrics, predictions and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.estimators import intervals, learning, metrics, ranking, recipe_choices, reweighting, saved
from e2i.tools.model import class_metrics, evaluation, page, predicting, slicing
from e2i.tools.model.after_training import calibrate as calibrate
from e2i.tools.model.after_training import conformal as conformal
from e2i.tools.model.after_training import threshold as threshold
from e2i.tools.model.card import card as card
from e2i.tools.model.choice import choose
from e2i.tools.model.comparing import compare as compare
from e2i.tools.model.ensembling import ensemble as ensemble
from e2i.tools.model.erring import errors as errors
from e2i.tools.model.fairness import fairness as fairness
from e2i.tools.model.learning_curve import learning_curve as learning_curve
from e2i.tools.model.params.applying import PredictOutputs, PredictParams
from e2i.tools.model.params.choosing import SelectOutputs, SelectParams
from e2i.tools.model.params.judging import EvaluateOutputs, EvaluateParams, Interval
from e2i.tools.model.params.training import CrossValidateOutputs, CrossValidateParams, TrainOutputs, TrainParams
from e2i.tools.model.validation_curve import validation_curve as validation_curve

if TYPE_CHECKING:
    from e2i.estimators.fitting import Fitted, Prepared
    from e2i.estimators.library import Encoded


def train(params: TrainParams, ctx: StepContext) -> TrainOutputs:
    """Fit one model, compute metrics on the given rows and log the model as ``model``."""
    from e2i.estimators import fitting
    from e2i.estimators.request import Request

    seed = ctx.seed if params.seed is None else params.seed
    held_out = None if params.validation is None else ctx.frame(params.validation)
    prepared = Request.of(params, seed).prepare(ctx.frame(params.table), held_out, threads=ctx.threads)
    _warn(prepared, {"class_weight": params.class_weight, **params.params}, ctx)
    watch = learning.watch(params.early_stopping, prepared.schema.task, prepared.loss)
    fitted = fitting.fit(prepared, params.params, seed=seed, threads=ctx.threads, watch=watch)
    measured, constant = _measure(fitted, "train", prepared.train), _constant(prepared, "train", prepared.train)
    if prepared.validation is not None:
        measured |= _measure(fitted, "validation", prepared.validation)
        constant |= _constant(prepared, "validation", prepared.validation)
    model = saved.keep_model(fitted, ctx)
    for name, value in params.params.items():
        ctx.param(name, "null" if value is None else value)
    ctx.param("algorithm", params.algorithm)
    if params.device != "cpu":
        ctx.param("device", prepared.loss.device)
    if prepared.schema.shape == "binary":
        ctx.param("positive_class", str((prepared.schema.classes or ())[-1]))
    _record(measured, ctx)
    ctx.attach("model", model)
    return TrainOutputs(model=model, metrics=measured, baseline=constant if params.baseline else {})


def cross_validate(params: CrossValidateParams, ctx: StepContext) -> CrossValidateOutputs:
    """Fit and judge a model in each split, with its own preparation, and fit one to all rows."""
    import pandas as pd

    from e2i.estimators import folding
    from e2i.tools.model import crossing

    splits = folding.read(params.folds, params.table, ctx)
    crossed = crossing.Crossing(params, ctx)
    found, tables = [], []
    for done, (measured, table) in enumerate(crossed.judged(splits), start=1):
        found.append(measured)
        tables.append(table)
        ctx.progress(done, len(splits), f"{done} of {len(splits)} splits")
    figures = crossing.summed(found, crossed.names)
    fitted, best = crossed.fit()
    for warning in crossed.warnings(splits, fitted):
        ctx.warn(warning)
    _warn(fitted.prepared, {"class_weight": params.class_weight, **best.params}, ctx)
    model = saved.keep_model(fitted, ctx)
    for name, one in figures.items():
        ctx.metric(name, one.mean)
        ctx.metric(f"{name}_sd", one.sd)
    if params.device != "cpu":
        ctx.param("device", fitted.prepared.loss.device)
    if crossed.rounds:
        ctx.param(crossed.counted, best.params[crossed.counted])
    ctx.param("algorithm", params.algorithm)
    ctx.attach("model", model)
    return CrossValidateOutputs(
        metrics=figures,
        baseline=crossing.summed(crossed.constants, list(figures), partial=True) if params.baseline else {},
        oof=ctx.table(pd.concat(tables, ignore_index=True)),
        model=model,
        best_params=best.params,
        best_recipe=recipe_choices.refined(params.prepare, best.recipe),
        searched=tuple(crossed.searched),
        rounds=tuple(crossed.rounds),
    )


def evaluate(params: EvaluateParams, ctx: StepContext) -> EvaluateOutputs:
    """Evaluate a model on a table, beside a constant answer, and write one HTML page with the plots."""
    scorer = saved.open_model(params.model, ctx)
    frame = ctx.frame(params.table)
    rows = evaluation.judge(
        scorer,
        frame,
        params.model,
        positive=params.positive,
        threshold=params.threshold,
        quantile=params.quantile,
        costs=params.costs,
    )
    drawn: dict[str, Any] = {
        "groups": None if params.group is None else evaluation.groups(frame, params.group),
        "seed": ctx.seed if params.seed is None else params.seed,
    }
    found = evaluation.measure(rows, level=params.interval, **drawn)
    slices = slicing.measure(rows, slicing.cut(frame, params.by), level=params.interval, **drawn)
    classes = class_metrics.measure(rows, level=params.interval, **drawn)
    saved.report_unseen(scorer, frame, ctx)
    for warning in (*evaluation.trained_on(params.model, scorer, frame, ctx), *found.warnings(rows, drawn["groups"])):
        ctx.warn(warning)
    title = f"{params.model.algorithm}: {params.model.target}"
    folder = ctx.scratch / "evaluation"
    folder.mkdir()
    text = page.render(title, found, rows, slices, class_metrics.section(classes), plots=params.plots)
    (folder / "index.html").write_text(text, encoding="utf-8")
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry="index.html")
    _record(found.recorded(), ctx)
    if rows.positive is not None:
        ctx.param("positive_class", rows.positive)
    ctx.attach("evaluation", report)
    evaluation.require(rows, found, params.at_least, params.at_most, **drawn)
    return EvaluateOutputs(
        metrics=found.metrics,
        intervals={name: Interval(low=low, high=high) for name, (low, high) in found.intervals.items()},
        baseline=found.baseline,
        positive=rows.positive,
        slices=ctx.table(slicing.table(slices)),
        classes=ctx.table(class_metrics.table(classes)),
        report=report,
    )


def predict(params: PredictParams, ctx: StepContext) -> PredictOutputs:
    """Add the model's predictions to the table's kept columns."""
    return PredictOutputs(table=predicting.predict(params, ctx))


def select(params: SelectParams, ctx: StepContext) -> SelectOutputs:
    """Evaluate the candidates on one table, or use their own metrics, and choose the best."""
    chosen = choose(params, None if params.table is None else lambda model: _judge(model, params, ctx))
    ctx.param("selected", chosen.name)
    _record({params.metric or "value": chosen.ranking[0].value}, ctx)
    return chosen


def _judge(model: Any, params: SelectParams, ctx: StepContext) -> dict[str, float]:
    from e2i.estimators import schema

    assert params.table is not None
    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(params.table)
    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    queries = ranking.of_model(scorer.manifest, frame)
    return metrics.evaluate(model.task, labels, saved.predict(scorer, frame), groups=queries)


def _warn(prepared: Prepared, params: Mapping[str, Any], ctx: StepContext) -> None:
    """Warn of what the training table and the parameters do to the figures."""
    for warning in (*prepared.warnings, *reweighting.warnings(params, prepared.schema.classes)):
        ctx.warn(warning)


def _measure(fitted: Fitted, part: str, rows: Encoded) -> dict[str, float]:
    task = fitted.prepared.schema.task
    measured = metrics.evaluate(task, rows.labels, fitted.scorer.output(rows.matrix), groups=rows.groups)
    return {f"{part}_{name}": value for name, value in measured.items()}


def _constant(prepared: Prepared, part: str, rows: Encoded) -> dict[str, float]:
    """Return the metrics of the best constant answer to the training rows."""
    found = intervals.baseline(prepared.schema.task, rows.labels, prepared.constant, queries=rows.groups)
    return {f"{part}_{name}": value for name, value in found.items()}


def _record(measured: Mapping[str, float], ctx: StepContext) -> None:
    for name, value in measured.items():
        ctx.metric(name, value)
