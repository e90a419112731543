"""Describe a model for those who use or review it. In: a model, its data and figures. Out: a model card.

The parts follow "Model Cards for Model Reporting" (Mitchell et al. 2019). The card has no values of single rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from e2i.catalog.artifacts import Report, Table
from e2i.catalog.context import StepContext
from e2i.estimators import calibrating, saved
from e2i.tools.model import card_text, judged, slicing
from e2i.tools.model.card_text import Calibrated, Card, Column, Data, Described, Disparity, Figure, Sliced
from e2i.tools.model.params.card import CardOutputs, CardParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Scorer

HEADLINES = ("roc_auc", "log_loss", "rmse", "mae")
"""Metrics of slices on the card; the table of the evaluation has all."""


def card(params: CardParams, ctx: StepContext) -> CardOutputs:
    """Write the card of a model as a page, as Markdown and as JSON."""
    scorer = saved.open_model(params.model, ctx)
    found = Card(
        intended_use=params.intended_use,
        not_for=list(params.not_for),
        limitations=list(params.limitations),
        owner=params.owner,
        model=_described(params, scorer),
        data=None if params.training is None else _data(params.training, params, ctx),
        metrics=list(_figures(params)),
        slices=list(_slices(params, ctx)),
        calibration=None if params.test is None else _calibrated(params, ctx),
        errors=None if params.errors is None else params.errors.conclusion,
        fairness=list(_disparities(params, ctx)),
    )
    title = f"Model card: {params.model.algorithm} for {params.model.target}"
    folder = ctx.scratch / "card"
    folder.mkdir()
    (folder / "card.md").write_text(card_text.markdown(title, found), encoding="utf-8")
    (folder / "index.html").write_text(card_text.page(title, found), encoding="utf-8")
    content = json.dumps(msgspec.to_builtins(found), indent=1, ensure_ascii=False)
    (folder / "card.json").write_text(content + "\n", encoding="utf-8")
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry="index.html")
    ctx.attach("model_card", report)
    return CardOutputs(card=report)


def _described(params: CardParams, scorer: Scorer) -> Described:
    manifest = scorer.manifest
    classes = manifest["classes"]
    return Described(
        algorithm=params.model.algorithm,
        task=params.model.task,
        target=params.model.target,
        classes=None if classes is None else [str(label) for label in classes],
        features=list(params.model.features),
        params={name: "null" if value is None else str(value) for name, value in manifest["params"].items()},
        preparation=[str(step["op"]) for step in manifest["prepare"]["steps"]] if "prepare" in manifest else [],
        requirements=list(manifest["requirements"]),
        threshold=manifest.get("threshold"),
        calibrated="calibration" in manifest,
        digest=params.model.digest,
    )


def _data(table: Table, params: CardParams, ctx: StepContext) -> Data:
    frame, types = ctx.frame(table), ctx.arrow(table).schema
    names = [name for name in (*params.model.features, params.model.target) if name in frame.columns]
    return Data(
        len(frame), [_column(frame[name], str(types.field(name).type), name == params.model.target) for name in names]
    )


def _column(values: pd.Series[Any], kind: str, is_target: bool) -> Column:
    import pandas as pd

    known = values.dropna()
    span = None
    if len(known) and (slicing.is_number(values) or pd.api.types.is_datetime64_any_dtype(values)):
        span = f"{slicing.text(known.min())} to {slicing.text(known.max())}"
    distinct = int(known.astype(str).nunique())
    role = "target" if is_target else "feature"
    return Column(str(values.name), role, kind, 1 - len(known) / max(len(values), 1), distinct, span)


def _figures(params: CardParams) -> Iterator[Figure]:
    if params.evaluation is None:
        return
    given = params.evaluation
    for name, value in given.metrics.items():
        bounds = given.intervals.get(name)
        low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
        yield Figure(name, value, low, high, given.baseline.get(name))


def _slices(params: CardParams, ctx: StepContext) -> Iterator[Sliced]:
    if params.evaluation is None or params.evaluation.slices is None:
        return
    for row in ctx.arrow(params.evaluation.slices).to_pylist():
        if row["metric"] in HEADLINES:
            yield Sliced(*(row[name] for name in Sliced.__struct_fields__))


def _calibrated(params: CardParams, ctx: StepContext) -> Calibrated | None:
    """Return the calibration for two classes; None for others."""
    assert params.test is not None
    opened = judged.open_rows(params.model, params.test, ctx)
    for warning in opened.warnings:
        ctx.warn(warning)
    rows = opened.rows
    if rows.positive is None:
        return None
    error = calibrating.expected_error(rows.labels, rows.predicted)
    return Calibrated(rows.positive, len(rows.labels), error, calibrating.curve(rows.labels, rows.predicted))


def _disparities(params: CardParams, ctx: StepContext) -> Iterator[Disparity]:
    if params.fairness is None:
        return
    for row in ctx.arrow(params.fairness.disparities).to_pylist():
        yield Disparity(*(row[name] for name in Disparity.__struct_fields__))
