"""The MLflow actions: artifacts in, registered versions out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import Model, ModelVersion
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.mlflow import (
    DIGEST_TAG,
    LoadOutputs,
    LoadParams,
    PromoteOutputs,
    PromoteParams,
    RegisterOutputs,
    RegisterParams,
)
from e2i.tools.mlflow.connector import MLflowConnector

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion


async def register(params: RegisterParams, ctx: StepContext) -> RegisterOutputs:
    """Logs the model to the run's MLflow run and makes it a version, once for all attempts with equal inputs."""
    mlflow = ctx.connect(MLflowConnector)
    run = await mlflow.ensure_run(ctx.info.run, ctx.info.pipeline, ctx.info.started_ms)
    logged = await mlflow.log_model(run, params.model, ctx.open(params.model))
    metrics = {name: value for name, value in params.metrics.items() if value is not None}
    if metrics:
        await mlflow.log_model_metrics(run, logged, metrics, ctx.info.started_ms)
    version = await mlflow.register_model(
        params.name,
        logged,
        run,
        key=ctx.key("register", params.name, params.model.digest),
        digest=params.model.digest,
        description=params.description,
        tags=params.tags,
    )
    return RegisterOutputs(version=_reference(version, params.model.digest))


async def promote(params: PromoteParams, ctx: StepContext) -> PromoteOutputs:
    """Moves the version to the stage, where it becomes the only one."""
    given = params.version
    previous = await ctx.connect(MLflowConnector).transition_model_version_stage(
        given.name,
        given.version,
        params.stage,
        params.archive_existing,
        key=ctx.key("promote", given.name, str(given.version), params.stage),
    )
    alias = None if params.stage == "archived" else params.stage
    return PromoteOutputs(version=given.model_copy(update={"alias": alias}), previous=previous)


async def load(params: LoadParams, ctx: StepContext) -> LoadOutputs:
    """Downloads the version's files and checks that they are the model that was registered."""
    from e2i.tools.mlflow.models import read_manifest

    mlflow = ctx.connect(MLflowConnector)
    version = await _find(mlflow, params)
    registered = version.tags.get(DIGEST_TAG)
    if registered is None:
        raise StepError(
            f"version {version.version} of {params.name!r} was not registered by e2i",
            code="foreign-model",
            hint="register it by mlflow.register; files of other makers are not loaded",
        )
    folder = await mlflow.load(params.name, int(version.version), ctx.scratch)
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
            f"the files of version {version.version} of {params.name!r} are not those that were registered",
            code="model-changed",
            hint="find out who changed them; register the model again",
        )
    return LoadOutputs(model=model, version=_reference(version, model.digest, params.stage))


async def _find(mlflow: MLflowConnector, params: LoadParams) -> MLflowVersion:
    if params.version is not None:
        return await mlflow.get_version(params.name, params.version)
    assert params.stage is not None
    version = await mlflow.get_version_by_stage(params.name, params.stage)
    if version is None:
        raise StepError(
            f"no version of {params.name!r} is in {params.stage}",
            code="unknown-version",
            hint=f"move one there by mlflow.promote with stage: {params.stage}",
        )
    return version


def _reference(version: MLflowVersion, model: str, alias: str | None = None) -> ModelVersion:
    """The version as an artifact. Its digest stands for the name, the number and the model."""
    made_from = f"{version.name}\0{version.version}\0{model}"
    return ModelVersion(
        digest=f"sha256:{hashlib.sha256(made_from.encode()).hexdigest()}",
        name=version.name,
        version=int(version.version),
        uri=f"models:/{version.name}/{version.version}",
        run=version.run_id or "",
        alias=alias,
    )
