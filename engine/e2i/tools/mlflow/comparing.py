"""Load registered models, and compare two of them: a candidate and the champion that it would replace."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.artifacts import Model, ModelVersion
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.mlflow import DIGEST_TAG, IfBetter
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


async def fetch(mlflow: GuardedMLflow, ctx: StepContext, version: MLflowVersion) -> Model:
    """Download a version's files and verify that they are the registered model. Raises StepError."""
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


async def _judge(mlflow: GuardedMLflow, ctx: StepContext, name: str, version: int, ask: IfBetter) -> float:
    """Return the metric of a registered version on the table. Raises StepError when it is not defined there."""
    from e2i.estimators import metrics, saved, schema

    model = await fetch(mlflow, ctx, await mlflow.get_version(name, version))
    metrics.choose(ask.metric, model.task)
    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(ask.table)
    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    value = metrics.score(ask.metric, labels, saved.predict(scorer, frame))
    if not math.isfinite(value):
        raise StepError(
            f"{ask.metric} of version {version} of {name!r} is not defined on these {len(frame)} rows",
            code="undefined-metric",
            hint="evaluate on a table that has rows of every class",
        )
    ctx.metric(f"version_{version}_{ask.metric}", value)
    return value
