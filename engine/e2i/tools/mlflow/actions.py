"""Run the MLflow actions. In: artifacts. Out: registered versions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import ModelVersion
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.mlflow import (
    LoadOutputs,
    LoadParams,
    PromoteOutputs,
    PromoteParams,
    RegisterOutputs,
    RegisterParams,
)
from e2i.tools.mlflow.comparing import Compared, compare, fetch
from e2i.tools.mlflow.connector import GuardedMLflow

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion


async def register(params: RegisterParams, ctx: StepContext) -> RegisterOutputs:
    """Log the model to the run's MLflow run and register it, once for all attempts with equal inputs."""
    mlflow = ctx.connect(GuardedMLflow)
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
    """Move the version to the stage, where it becomes the only one; with ``if_better``, only if it is better."""
    given, mlflow = params.version, ctx.connect(GuardedMLflow)
    key = ctx.key("promote", given.name, str(given.version), params.stage)
    compared = None
    if params.if_better is not None:
        champion = await mlflow.get_champion(given.name, given.version, params.stage, key=key)
        compared = await compare(mlflow, ctx, given, champion, params.if_better)
        if not compared.is_better:
            return _promoted(params, compared, None, promoted=False)
    previous = await mlflow.transition_model_version_stage(
        given.name,
        given.version,
        params.stage,
        params.archive_existing,
        key=key,
        champion=None if compared is None else compared.champion or 0,
    )
    return _promoted(params, compared, previous, promoted=True)


def _promoted(
    params: PromoteParams, compared: Compared | None, previous: int | None, *, promoted: bool
) -> PromoteOutputs:
    alias = params.stage if promoted and params.stage != "archived" else None
    return PromoteOutputs(
        version=params.version.model_copy(update={"alias": alias}),
        previous=previous,
        promoted=promoted,
        champion=compared.champion if compared else None,
        candidate_value=compared.candidate_value if compared else None,
        champion_value=compared.champion_value if compared else None,
    )


async def load(params: LoadParams, ctx: StepContext) -> LoadOutputs:
    """Download the version's files and verify that they are the registered model."""
    mlflow = ctx.connect(GuardedMLflow)
    try:
        version = await _find(mlflow, params)
    except StepError as error:
        if params.missing is None and error.code == "unknown-version":
            return LoadOutputs(model=None, version=None)
        raise
    model = await fetch(mlflow, ctx, version)
    return LoadOutputs(model=model, version=_reference(version, model.digest, params.stage))


async def _find(mlflow: GuardedMLflow, params: LoadParams) -> MLflowVersion:
    if params.version is not None:
        return await mlflow.get_version(params.name, params.version)
    assert params.stage is not None
    version = await mlflow.get_version_by_stage(params.name, params.stage)
    if version is None:
        raise StepError(
            f"no version of {params.name!r} is in {params.stage}",
            code="unknown-version",
            hint=f"move a version there with mlflow.promote and stage: {params.stage}",
        )
    return version


def _reference(version: MLflowVersion, model: str, alias: str | None = None) -> ModelVersion:
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
