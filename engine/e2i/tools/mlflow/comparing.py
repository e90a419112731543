"""Load registered models, and compare two of them: a candidate and the champion that it would replace."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.artifacts import EffectModel, Model, ModelVersion
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.mlflow import DIGEST_TAG, IfBetter
from e2i.tools.mlflow.asked import CompareOutputs, CompareParams
from e2i.tools.mlflow.connector import GuardedMLflow

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion


class Compared(Struct, frozen=True):
    """Comparison of a candidate with the champion, by one metric on one table."""

    champion: int | None
    """The champion's version; None: there is no champion."""
    candidate_value: float
    champion_value: float | None
    is_better: bool


async def compare(
    mlflow: GuardedMLflow, ctx: StepContext, candidate: ModelVersion, champion: int | None, ask: IfBetter
) -> Compared:
    """Evaluate both on the table. A candidate that is already the champion counts as better.

    Raises StepError when a metric is not defined, or when there is no champion and the parameters do not allow that.
    """
    from e2i.estimators import metrics

    if champion is None and ask.no_champion == "fail":
        raise StepError(
            f"no version of {candidate.name!r} is in the stage, so there is no champion to compare with",
            code="no-champion",
            hint="allow a first promotion with if_better: {no_champion: promote, …}",
        )
    candidate_value = await _judge(mlflow, ctx, candidate.name, candidate.version, ask)
    if champion is None:
        return Compared(None, candidate_value, None, True)
    if champion == candidate.version:
        return Compared(champion, candidate_value, candidate_value, True)
    champion_value = await _judge(mlflow, ctx, candidate.name, champion, ask)
    sign = 1.0 if metrics.METRICS[ask.metric].direction == "maximize" else -1.0
    gain = sign * (candidate_value - champion_value)
    return Compared(champion, candidate_value, champion_value, gain > 0 and gain >= ask.by)


async def against_champion(mlflow: GuardedMLflow, ctx: StepContext, params: CompareParams) -> CompareOutputs:
    """Evaluate a model and the champion of a stage on the same rows. Raises StepError where ``required`` asks for it,
    when there is no champion and that is not allowed, and when the deciding metric is not defined.
    """
    from e2i.estimators import metrics

    held = await mlflow.get_version_by_stage(params.name, params.stage)
    if held is None and params.no_champion == "fail":
        raise StepError(
            f"no version of {params.name!r} is in {params.stage}, so there is no champion to compare with",
            code="no-champion",
            hint="allow it with no_champion: better",
        )
    metrics.choose(params.metric, params.model.task)
    candidate = _evaluated(ctx, params.model, params)
    if held is None:
        return CompareOutputs(better=True, improvement=None, candidate=candidate, champion=None, version=None)
    model = _predicting(await fetch(mlflow, ctx, held), held)
    if (model.task, model.target) != (params.model.task, params.model.target):
        raise StepError(
            f"the candidate predicts {params.model.target!r} by {params.model.task}, and version {held.version} of "
            f"{params.name!r} {model.target!r} by {model.task}",
            code="wrong-task",
            hint="compare models of one target",
        )
    champion = _evaluated(ctx, model, params)
    sign = 1.0 if metrics.METRICS[params.metric].direction == "maximize" else -1.0
    gain = sign * (candidate[params.metric] - champion[params.metric])
    better = gain > 0 and gain >= params.by
    ctx.metric(f"improvement_{params.metric}", gain)
    if params.required and not better:
        raise StepError(
            f"the candidate's {params.metric} is {candidate[params.metric]:.6g}, that of version {held.version} in "
            f"{params.stage} {champion[params.metric]:.6g}: it is not better by {params.by:g} or more",
            code="not-better",
            hint="improve the model, lower `by`, or set required: false and decide by the output `better`",
        )
    return CompareOutputs(
        better=better,
        improvement=gain,
        candidate=candidate,
        champion=champion,
        version=reference(held, model.digest, params.stage),
    )


def _evaluated(ctx: StepContext, model: Model, params: CompareParams) -> dict[str, float]:
    """Return all metrics of a model on the table. Raises StepError when the deciding one is not defined there."""
    from e2i.estimators import metrics, ranking, saved, schema

    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(params.table)
    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    found = metrics.evaluate(
        model.task, labels, saved.predict(scorer, frame), groups=ranking.of_model(scorer.manifest, frame)
    )
    if not math.isfinite(found.get(params.metric, math.nan)):
        raise StepError(
            f"{params.metric} is not defined on these {len(frame)} rows",
            code="undefined-metric",
            hint="evaluate on a table that has rows of every class",
        )
    return found


def reference(version: MLflowVersion, model: str, alias: str | None = None) -> ModelVersion:
    """Return the version as an artifact. Its digest covers the name, the number and the model."""
    made_from = f"{version.name}\0{version.version}\0{model}"
    return ModelVersion(
        digest=f"sha256:{hashlib.sha256(made_from.encode()).hexdigest()}",
        name=version.name,
        version=int(version.version),
        uri=f"models:/{version.name}/{version.version}",
        run=version.run_id or "",
        alias=alias,
    )


async def fetch(mlflow: GuardedMLflow, ctx: StepContext, version: MLflowVersion) -> Model | EffectModel:
    """Download a version's files and verify that they are the registered model. Raises StepError."""
    from e2i.estimators import effects
    from e2i.estimators.effect_scoring import is_effects
    from e2i.tools.mlflow.models import read_manifest

    registered = version.tags.get(DIGEST_TAG)
    if registered is None:
        raise StepError(
            f"version {version.version} of {version.name!r} was not registered by e2i",
            code="foreign-model",
            hint="register it with mlflow.register; files from other sources are not loaded",
        )
    download = ctx.scratch / f"version-{version.version}"
    download.mkdir(exist_ok=True)
    folder = await mlflow.load(version.name, int(version.version), download)
    manifest = read_manifest(folder)
    model: Model | EffectModel
    if is_effects(manifest):
        model = effects.keep_folder(folder, ctx)
    else:
        model = ctx.keep(
            folder,
            Model,
            algorithm=manifest["algorithm"],
            task=manifest["task"],
            target=manifest["target"],
            features=tuple(feature["name"] for feature in manifest["features"]),
        )
    if model.digest != registered:
        raise StepError(
            f"the files of version {version.version} of {version.name!r} differ from the registered ones",
            code="model-changed",
            hint="find out who changed them, then register the model again",
        )
    return model


def _predicting(model: Model | EffectModel, version: MLflowVersion) -> Model:
    """Return a model that can be compared. Raises StepError for an effect model: nobody observes the effect itself."""
    if isinstance(model, EffectModel):
        raise StepError(
            f"version {version.version} of {version.name!r} is the effect model of {model.treatment!r} on "
            f"{model.outcome!r}: no column has the effects that it could be compared with",
            code="wrong-task",
            hint="compare models that predict; for effects see causal.refute",
        )
    return model


async def _judge(mlflow: GuardedMLflow, ctx: StepContext, name: str, version: int, ask: IfBetter) -> float:
    """Return the metric of a registered version on the table. Raises StepError when it is not defined there."""
    from e2i.estimators import metrics, ranking, saved, schema

    held = await mlflow.get_version(name, version)
    model = _predicting(await fetch(mlflow, ctx, held), held)
    metrics.choose(ask.metric, model.task)
    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(ask.table)
    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    value = metrics.score(
        ask.metric, labels, saved.predict(scorer, frame), groups=ranking.of_model(scorer.manifest, frame)
    )
    if not math.isfinite(value):
        raise StepError(
            f"{ask.metric} of version {version} of {name!r} is not defined on these {len(frame)} rows",
            code="undefined-metric",
            hint="evaluate on a table that has rows of every class",
        )
    ctx.metric(f"version_{version}_{ask.metric}", value)
    return value
