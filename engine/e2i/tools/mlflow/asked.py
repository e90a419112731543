"""Declare what a spec logs to MLflow and asks of its registry: ``log``, ``find`` and ``compare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from e2i.catalog.action import Action, Effect, Outputs, Params
from e2i.catalog.artifacts import EffectModel, File, Model, ModelVersion, Report, Table
from e2i.estimators.metrics import METRICS, MetricChoice
from e2i.tools.mlflow.words import Key, LiveStage, ModelName, Stage, TagName, TagText

ArtifactPath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_. -]*(/[A-Za-z0-9_-][A-Za-z0-9_. -]*)*$", max_length=250),
]
"""Path among the artifacts of a run. No part begins with a dot, so none leads elsewhere."""


class LogParams(Params):
    """Parameters of ``mlflow.log``."""

    metrics: Annotated[
        Mapping[Key, FiniteFloat | None],
        Field(max_length=256, description="Metrics, by name; null values are left out. Shown as STEP/NAME."),
    ] = {}
    step: Annotated[int, Field(ge=0, le=2**53, description="Position of the metrics on the axis of their charts.")] = 0
    parameters: Annotated[
        Mapping[Key, bool | int | float | str],
        Field(max_length=256, description="Parameters, by name. Shown as STEP.NAME."),
    ] = {}
    tables: Annotated[
        Mapping[ArtifactPath, Table],
        Field(
            max_length=64,
            description="Tables, by their paths among the run's artifacts. One of at most 10,000 rows is kept as JSON, "
            "which MLflow shows as a table, a larger one as an Arrow file.",
        ),
    ] = {}
    files: Annotated[
        Mapping[ArtifactPath, File | Report],
        Field(max_length=64, description="Files, by their paths among the run's artifacts."),
    ] = {}
    figures: Annotated[
        Mapping[ArtifactPath, Report],
        Field(max_length=64, description="Figures and pages of other steps, by their paths among the run's artifacts."),
    ] = {}
    nested: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=250,
            description="Name of a nested run that gets the metrics and parameters, by their plain names; null: the "
            "pipeline's run gets them.",
        ),
    ] = None

    @model_validator(mode="after")
    def _logs_something(self) -> LogParams:
        paths = [*self.tables, *self.files, *self.figures]
        if not (self.metrics or self.parameters or paths):
            raise ValueError("set at least one of `metrics`, `parameters`, `tables`, `files` and `figures`")
        bare = [stem(path) for path in paths]
        if len(set(bare)) < len(bare):
            twice = next(path for path in bare if bare.count(path) > 1)
            raise ValueError(f"{twice!r} is the path of two artifacts")
        for path in self.tables:
            if (suffix := PurePosixPath(stem(path)).suffix) and not suffix[1:].isdigit():
                raise ValueError(f"a table is kept as JSON or Arrow: name {path!r} without {suffix}")
        if self.nested is not None and (paths or self.step):
            raise ValueError("a nested run has metrics and parameters only; log the rest in a step without `nested`")
        return self


class LogOutputs(Outputs):
    """Outputs of ``mlflow.log``."""

    metrics: Annotated[Mapping[str, float], Field(description="The logged metrics, by their names in MLflow.")]
    artifacts: Annotated[tuple[str, ...], Field(description="Paths of the logged artifacts in the run, sorted.")]


class FindParams(Params):
    """Parameters of ``mlflow.find``."""

    name: Annotated[ModelName, Field(description="Name of the registered model.")]
    metric: Annotated[Key, Field(description="Metric to choose by, as it was registered with the version.")]
    direction: Annotated[
        Literal["maximize", "minimize"] | None,
        Field(description="Which values are better; null: as the metric defines it. Needed for a metric of your own."),
    ] = None
    tags: Annotated[
        Mapping[TagName, TagText], Field(max_length=64, description="Tags that the version has, with these values.")
    ] = {}
    stages: Annotated[
        tuple[Stage, ...], Field(min_length=1, max_length=5, description="Stages that the version may be in.")
    ] = ("development", "staging", "shadow", "production")
    missing: Annotated[
        Literal["fail"] | None,
        Field(
            description="`null`: when no version meets the conditions, the outputs are null. If MLflow is unavailable, "
            "the step fails either way."
        ),
    ] = "fail"

    @model_validator(mode="after")
    def _has_a_direction(self) -> FindParams:
        if self.direction is None and self.metric not in METRICS:
            raise ValueError(
                f"set `direction`: {self.metric!r} is not a metric whose direction is known ({', '.join(METRICS)})"
            )
        return self


class FindOutputs(Outputs):
    """Outputs of ``mlflow.find``."""

    version: Annotated[ModelVersion | None, Field(description="The best version; null when there is none.")]
    model: Annotated[
        Model | EffectModel | None,
        Field(description="Its model, verified against the digest from its registration; or null."),
    ]
    value: Annotated[float | None, Field(description="Its value of the metric; null when there is no version.")]
    metrics: Annotated[Mapping[str, float], Field(description="All metrics that it was registered with.")]
    stage: Annotated[str | None, Field(description="Its stage; null when there is no version.")]
    candidates: Annotated[int, Field(description="Number of versions that meet the conditions and have the metric.")]


class CompareParams(Params):
    """Parameters of ``mlflow.compare``."""

    model: Annotated[Model, Field(description="The candidate. It need not be registered.")]
    name: Annotated[ModelName, Field(description="Name of the registered model.")]
    stage: Annotated[LiveStage, Field(description="Stage of the champion.")] = "production"
    table: Annotated[
        Table, Field(description="Rows to evaluate both models on. Neither model may have been trained on them.")
    ]
    metric: Annotated[MetricChoice, Field(description="Metric that decides. Its direction is known.")]
    by: Annotated[FiniteFloat, Field(ge=0, description="Smallest improvement that counts.")] = 0.0
    no_champion: Annotated[
        Literal["fail", "better"],
        Field(description="What to do when no version is in the stage. `better`: the candidate counts as better."),
    ] = "fail"
    required: Annotated[
        bool, Field(description="Fail the step (`not-better`) unless the candidate is better by `by` or more.")
    ] = False


class CompareOutputs(Outputs):
    """Outputs of ``mlflow.compare``."""

    better: Annotated[bool, Field(description="True when the candidate is better by `by` or more.")]
    improvement: Annotated[
        float | None, Field(description="Improvement of the deciding metric; positive is better. Null: no champion.")
    ]
    candidate: Annotated[Mapping[str, float], Field(description="All metrics of the candidate on the table.")]
    champion: Annotated[
        Mapping[str, float] | None, Field(description="The same of the champion; null when there is none.")
    ]
    version: Annotated[ModelVersion | None, Field(description="The champion; null when there is none.")]


def stem(path: str) -> str:
    """Return a table's path without the suffix of its format."""
    return path.removesuffix(".json").removesuffix(".arrow")


def direction(params: FindParams) -> str:
    """Return which values of the metric are better."""
    return params.direction or METRICS[params.metric].direction


ACTIONS = (
    Action(
        name="find",
        summary="Finds the best registered version by a metric, tags and stages, and loads its model.",
        params=FindParams,
        outputs=FindOutputs,
        effect=Effect.EXTERNAL,
        libraries=("mlflow",),
        always=True,
        columns=True,
    ),
    Action(
        name="compare",
        summary="Evaluates a model and the champion in a stage on the same rows, and reports which is better.",
        params=CompareParams,
        outputs=CompareOutputs,
        effect=Effect.EXTERNAL,
        libraries=("mlflow", "numpy", "pandas"),
        always=True,
        columns=True,
    ),
    Action(
        name="log",
        summary="Logs metrics, parameters, tables, files and figures of any step to the pipeline's run, once even "
        "after retries and outages.",
        params=LogParams,
        outputs=LogOutputs,
        effect=Effect.EXTERNAL,
        always=True,
    ),
)
