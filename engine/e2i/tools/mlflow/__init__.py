"""The MLflow tool: register, promote and load models, and log the telemetry of runs.

Declarations only: nothing of MLflow is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from e2i.catalog import addresses, variables
from e2i.catalog.action import (
    Action,
    DeferredActions,
    Effect,
    Outputs,
    Params,
    Tool,
    ToolSettings,
    host_and_port,
    without_credentials,
)
from e2i.catalog.artifacts import EffectModel, Model, ModelVersion, Report, Table
from e2i.catalog.marks import MayNeed, Privilege
from e2i.estimators.metrics import MetricChoice
from e2i.tools.mlflow.words import (
    DIGEST_TAG,
    EXCLUSIVE_STAGES,
    FIRST_STAGE,
    KEY_TAG,
    LIVE_STAGES,
    STAGE_TAG,
    Key,
    LiveStage,
    ModelName,
    Stage,
    TagName,
    TagText,
)

__all__ = [
    "DIGEST_TAG",
    "EXCLUSIVE_STAGES",
    "FIRST_STAGE",
    "KEY_TAG",
    "LIVE_STAGES",
    "STAGE_TAG",
    "TOOL",
    "IfBetter",
    "LoadOutputs",
    "LoadParams",
    "MLflowSettings",
    "ModelName",
    "PromoteOutputs",
    "PromoteParams",
    "RegisterOutputs",
    "RegisterParams",
    "Stage",
]

SCHEMES = (*addresses.HTTP, *addresses.POSTGRESQL, "sqlite")


class MLflowSettings(ToolSettings):
    """Settings of MLflow. The default is embedded: SQLite and files in the store, without a service."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Timeout of one call, in seconds.")] = 5.0
    transfer_deadline: Annotated[
        float,
        Field(gt=0, le=3600, description="Timeout of opening MLflow, or of transferring a model's files, in seconds."),
    ] = 120.0
    tracking_uri: Annotated[
        str | None,
        Field(
            description="URL of an MLflow server (http, https) or database (postgresql, sqlite); null: a database "
            "in the store."
        ),
    ] = None
    registry_uri: Annotated[
        str | None, Field(description="URL of the model registry, if it differs from the tracking server.")
    ] = None
    artifact_root: Annotated[
        str | None,
        Field(
            pattern=r"^(s3|gs|wasbs|abfss|hdfs|file)://[^\s?#]+$",
            description="Location of the files of new experiments, such as s3://bucket/mlflow; null: the store "
            "or the server.",
        ),
    ] = None
    experiment_prefix: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_./ -]{0,64}$",
            description="Prefix of experiment names, such as `team-a/`, for names that do not begin with it.",
        ),
    ] = ""
    default_tags: Annotated[
        Mapping[TagName, TagText],
        Field(max_length=64, description="Tags of every run. Values may contain `${ENVIRONMENT}`."),
    ] = {}
    log_trials_as_children: Annotated[
        bool,
        Field(
            description="Log each trial as a nested run. If false, the metrics of trials are a series in the "
            "pipeline's run."
        ),
    ] = True

    system_metrics: Annotated[
        bool,
        Field(
            description="Measure the machine during runs: processors, memory, disk and network, every 10 s, as the "
            "system metrics of MLflow. Needs psutil."
        ),
    ] = False

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.tracking_uri) if self.tracking_uri else None

    def addresses(self) -> tuple[str, ...]:
        return (*super().addresses(), *([without_credentials(self.artifact_root)] if self.artifact_root else ()))

    def hosts(self) -> tuple[str, ...]:
        found = (host_and_port(one) for one in (self.tracking_uri, self.registry_uri) if one)
        return tuple(sorted({one[0] for one in found if one}))

    @property
    def is_embedded(self) -> bool:
        return self.artifact_root is None and not self.identity()

    def identity(self) -> Mapping[str, str]:
        registry = self.registry_uri if self.registry_uri != self.tracking_uri else None
        addresses = {"tracking_uri": self.tracking_uri, "registry_uri": registry}
        known = {name: without_credentials(address) for name, address in addresses.items() if address}
        return {**known, "experiment_prefix": self.experiment_prefix} if known else {}

    @field_validator("tracking_uri", "registry_uri")
    @classmethod
    def _is_known_address(cls, value: str | None) -> str | None:
        """Accept only known schemes and options, because a URL can reach many other resources."""
        return None if value is None else addresses.check(value, SCHEMES)


class RegisterParams(Params):
    """Parameters of ``mlflow.register``."""

    model: Annotated[Model | EffectModel, Field(description="The fitted model, also that of `causal.estimate`.")]
    name: Annotated[ModelName, Field(description="Name of the registered model; created if it does not exist.")]
    description: Annotated[str, Field(max_length=5000, description="Description of this version.")] = ""
    tags: Annotated[
        Mapping[TagName, TagText],
        Field(max_length=64, description="Tags of the version."),
    ] = {}
    metrics: Annotated[
        Mapping[Key, FiniteFloat | None],
        Field(max_length=256, description="Metrics to show with the model, by name; null values are left out."),
    ] = {}
    card: Annotated[
        Report | None,
        Field(description="Card of model.card, attached to the run; without `description` it describes the version."),
    ] = None


class RegisterOutputs(Outputs):
    """Outputs of ``mlflow.register``."""

    version: Annotated[
        ModelVersion, Field(description="The new version, or the version that an earlier attempt created.")
    ]


class IfBetter(BaseModel):
    """Comparison with the champion, the version that is currently in the stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    metric: Annotated[MetricChoice, Field(description="Metric of the comparison. Its direction is known.")]
    table: Annotated[
        Table, Field(description="Rows to evaluate both models on. Neither model may have been trained on them.")
    ]
    by: Annotated[FiniteFloat, Field(ge=0, description="Smallest improvement that counts.")] = 0.0
    no_champion: Annotated[
        Literal["fail", "promote"],
        Field(description="What to do when no version is in the stage. `fail`: the step fails."),
    ] = "fail"


class PromoteParams(Params):
    """Parameters of ``mlflow.promote``."""

    version: Annotated[ModelVersion, Field(description="The version to move.")]
    stage: Annotated[
        Stage,
        Privilege("promote_to_production", "production"),
        MayNeed("promote_to_production", ("archived", "development")),  # it may be the version in production
        Field(description="The target stage."),
    ]
    archive_existing: Annotated[
        bool,
        Field(description="Move the version that was in the stage before to `archived`; false: to `development`."),
    ] = True
    if_better: Annotated[
        IfBetter | None,
        Field(description="Move the version only if it is better than the one in the stage now; null: always."),
    ] = None

    @model_validator(mode="after")
    def _has_a_champion(self) -> PromoteParams:
        if self.if_better is not None and self.stage == "archived":
            raise ValueError(
                "if_better compares with the version in a stage; `archived` has no single version to compare with"
            )
        return self


class PromoteOutputs(Outputs):
    """Outputs of ``mlflow.promote``."""

    version: Annotated[
        ModelVersion,
        Field(
            description="The version, with the stage as its alias (no alias once archived, or when it was not moved)."
        ),
    ]
    previous: Annotated[int | None, Field(description="The version that was replaced, if there was one.")]
    promoted: Annotated[bool, Field(description="True when the version is in the stage now.")]
    champion: Annotated[int | None, Field(description="The version that it was compared with; null without if_better.")]
    candidate_value: Annotated[float | None, Field(description="The metric of the version; null without if_better.")]
    champion_value: Annotated[float | None, Field(description="The metric of the champion; null when there was none.")]


class LoadParams(Params):
    """Parameters of ``mlflow.load``: a name, and either a stage or a version."""

    name: Annotated[ModelName, Field(description="Name of the registered model.")]
    stage: Annotated[
        LiveStage | None,
        Field(description="Stage to load from."),
    ] = None
    version: Annotated[int | None, Field(ge=1, description="Number of the version to load.")] = None
    missing: Annotated[
        Literal["fail"] | None,
        Field(
            description="`null`: a missing model or version results in null outputs. If MLflow is unavailable, the "
            "step fails either way."
        ),
    ] = "fail"

    @model_validator(mode="after")
    def _names_one(self) -> LoadParams:
        if (self.stage is None) == (self.version is None):
            raise ValueError("set either `stage` or `version`")
        return self


class LoadOutputs(Outputs):
    """Outputs of ``mlflow.load``."""

    model: Annotated[
        Model | EffectModel | None,
        Field(description="The model, verified against the digest from its registration; null with `missing: null`."),
    ]
    version: Annotated[
        ModelVersion | None, Field(description="The loaded version; null when there is none and `missing: null`.")
    ]


TOOL = Tool(
    name="mlflow",
    summary="Tracks runs, stores models and their versions.",
    distribution="mlflow",
    extra="mlflow",
    settings=MLflowSettings,
    variables=(
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_INSECURE_TLS",
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH",
        "MLFLOW_TRACKING_AWS_SIGV4",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE",
        "REQUESTS_CA_BUNDLE",
        *variables.AWS,
        *variables.GOOGLE,
        *variables.POSTGRES,
    ),
    credentials=(
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        *variables.AWS_CREDENTIALS,
        *variables.AZURE_CREDENTIALS,
        *variables.POSTGRES_CREDENTIALS,
    ),
    imports=(
        "mlflow.pyfunc",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
    ),
    outages=(
        "sqlalchemy.exc.OperationalError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.EndpointConnectionError",
    ),
    actions=DeferredActions(
        __name__,
        Action(
            name="register",
            summary="Logs a model to the run and registers it as a version of a registered model, once even "
            "after retries.",
            params=RegisterParams,
            outputs=RegisterOutputs,
            version=2,
            effect=Effect.EXTERNAL,
            libraries=("mlflow",),
            begins_run=True,
            columns=True,
            verified=True,
        ),
        Action(
            name="promote",
            summary="Moves a model version to a stage, always or only if it is better. The stage becomes its alias.",
            params=PromoteParams,
            outputs=PromoteOutputs,
            version=2,
            effect=Effect.EXTERNAL,
            libraries=("mlflow",),
            columns=True,
            verified=True,
        ),
        Action(
            name="load",
            summary="Loads a registered model as an artifact, by stage or version.",
            params=LoadParams,
            outputs=LoadOutputs,
            effect=Effect.EXTERNAL,
            libraries=("mlflow",),
            always=True,
            columns=True,
        ),
        "asked.find",
        "asked.compare",
        "asked.log",
    ),
)
