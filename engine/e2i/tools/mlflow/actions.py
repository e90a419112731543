"""Run the MLflow actions. In: artifacts. Out: registered versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.mlflow import (
    EXCLUSIVE_STAGES,
    LoadOutputs,
    LoadParams,
    PromoteOutputs,
    PromoteParams,
    RegisterOutputs,
    RegisterParams,
    cards,
    comparing,
    recording,
)
from e2i.tools.mlflow.asked import (
    CompareOutputs,
    CompareParams,
    FindOutputs,
    FindParams,
    LogOutputs,
    LogParams,
    direction,
)
from e2i.tools.mlflow.comparing import Compared, fetch, reference
from e2i.tools.mlflow.connector import GuardedMLflow
from e2i.tools.mlflow.runs import key_of
from e2i.tools.mlflow.words import fixed_stages

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
        description=params.description or cards.described(params.card, ctx),
        tags=params.tags,
    )
    if params.card is not None:
        ctx.attach("model_card", params.card)
    return RegisterOutputs(version=reference(version, params.model.digest))


async def promote(params: PromoteParams, ctx: StepContext) -> PromoteOutputs:
    """Move the version to the stage, where it becomes the only one; with ``if_better``, only if it is better."""
    given, mlflow = params.version, ctx.connect(GuardedMLflow)
    key = ctx.key("promote", given.name, str(given.version), params.stage)
    compared = None
    if params.if_better is not None:
        champion = await mlflow.get_champion(given.name, given.version, params.stage, key=key)
        compared = await comparing.compare(mlflow, ctx, given, champion, params.if_better)
        if not compared.is_better:
            return _promoted(params, compared, None, promoted=False)
    previous = await mlflow.transition_model_version_stage(
        given.name,
        given.version,
        params.stage,
        params.archive_existing,
        key=key,
        champion=None if compared is None else compared.champion or 0,
        fixed=fixed_stages(ctx.withheld),
    )
    if previous is not None and not params.archive_existing and params.stage in EXCLUSIVE_STAGES:
        ctx.warn(f"version {previous} of {given.name!r} was moved to development: {params.stage} holds one version")
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
    return LoadOutputs(model=model, version=reference(version, model.digest, params.stage))


async def find(params: FindParams, ctx: StepContext) -> FindOutputs:
    """Find the best version, download its files and verify that they are the registered model."""
    mlflow = ctx.connect(GuardedMLflow)
    found = await mlflow.candidates(
        params.name,
        params.metric,
        maximize=direction(params) == "maximize",
        tags=params.tags,
        stages=params.stages,
    )
    if not found:
        if params.missing is None:
            return FindOutputs(version=None, model=None, value=None, metrics={}, stage=None, candidates=0)
        raise StepError(
            f"no version of {params.name!r} in {', '.join(params.stages)} has these tags",
            code="unknown-version",
            hint="check `name`, `tags` and `stages`, or set missing: null",
        )
    best = found[0]
    model = await fetch(mlflow, ctx, best.version)
    return FindOutputs(
        version=reference(best.version, model.digest, best.stage if best.stage in EXCLUSIVE_STAGES else None),
        model=model,
        value=best.metrics[key_of(params.metric)],
        metrics=best.metrics,
        stage=best.stage,
        candidates=len(found),
    )


async def compare(params: CompareParams, ctx: StepContext) -> CompareOutputs:
    """Evaluate the model and the champion on the same rows."""
    return await comparing.against_champion(ctx.connect(GuardedMLflow), ctx, params)


def log(params: LogParams, ctx: StepContext) -> LogOutputs:
    """Record metrics, parameters and artifacts; the outbox delivers them."""
    return recording.record(params, ctx)


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
