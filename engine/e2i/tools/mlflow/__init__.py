"""What MLflow offers: register, promote and load a model, and the sink that takes a run's telemetry.

In: declarations only, nothing of MLflow is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, field_validator, model_validator

from e2i.catalog import variables
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials
from e2i.catalog.artifacts import Model, ModelVersion, Table
from e2i.catalog.marks import Privilege
from e2i.estimators.metrics import MetricName

Stage = Literal["development", "staging", "shadow", "production", "archived"]
"""Where a model version stands. Every stage but ``archived`` is also an alias: ``models:/NAME@production``."""

LIVE_STAGES: tuple[str, ...] = ("development", "staging", "shadow", "production")

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
"""A registered model's name: no slash, no percent sign, nothing that could lead elsewhere in a ``models:/`` address."""

DIGEST_TAG = "e2i.model"
"""On a logged model and a version: the digest of the model."""
KEY_TAG = "e2i.key"
"""On a child run and a version: the idempotency key that it was made under."""
STAGE_TAG = "stage"
"""On a version: the stage that it is in."""

SCHEMES = ("http", "https", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "sqlite")
URL_OPTIONS = ("application_name", "connect_timeout", "sslmode", "sslrootcert", "target_session_attrs")


class MLflowSettings(ToolSettings):
    """Where MLflow is. With nothing set it is embedded: SQLite and files in the store, no service needed."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Seconds that one call may take.")] = 5.0
    transfer_deadline: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that opening MLflow, or moving a model's files, may take.")
    ] = 120.0
    tracking_uri: Annotated[
        str | None,
        Field(description="An MLflow server (http, https) or database (postgresql, sqlite); null: one in the store."),
    ] = None
    registry_uri: Annotated[
        str | None, Field(description="The model registry, when it is not where the runs are tracked.")
    ] = None
    artifact_root: Annotated[
        str | None,
        Field(
            pattern=r"^(s3|gs|wasbs|abfss|hdfs|file)://[^\s?#]+$",
            description="Where new experiments keep files, such as s3://bucket/mlflow; null: the store or the server.",
        ),
    ] = None
    experiment_prefix: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_./ -]{0,64}$",
            description="Put before the pipeline's name to give the experiment's, such as `team-a/`.",
        ),
    ] = ""
    log_trials_as_children: Annotated[
        bool,
        Field(description="Each trial becomes a nested run; if not, its metrics are a series of the pipeline's run."),
    ] = True

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.tracking_uri) if self.tracking_uri else None

    @property
    def is_embedded(self) -> bool:
        return self.artifact_root is None and not self.identity()

    def identity(self) -> Mapping[str, Any]:
        registry = self.registry_uri if self.registry_uri != self.tracking_uri else None
        addresses = {"tracking_uri": self.tracking_uri, "registry_uri": registry}
        known = {name: without_credentials(address) for name, address in addresses.items() if address}
        return {**known, "experiment_prefix": self.experiment_prefix} if known else {}

    @field_validator("tracking_uri", "registry_uri")
    @classmethod
    def _is_known_address(cls, value: str | None) -> str | None:
        """Only the schemes and the options that are meant here; a URL is a way into many other things."""
        if value is None:
            return None
        if any(character.isspace() or not character.isprintable() for character in value):
            raise ValueError("an address holds no spaces, line breaks or control characters")
        parts = urlsplit(value)
        if parts.scheme not in SCHEMES:
            raise ValueError(f"the scheme {parts.scheme!r} is not one of {', '.join(SCHEMES)}")
        if parts.scheme != "sqlite" and not parts.hostname:
            raise ValueError("the address names no host")
        unknown = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - set(URL_OPTIONS))
        if unknown:
            raise ValueError(f"the option {unknown[0]!r} is not one of {', '.join(URL_OPTIONS)}")
        return value


class RegisterParams(Params):
    """What ``mlflow.register`` takes."""

    model: Annotated[Model, Field(description="The fitted model.")]
    name: Annotated[ModelName, Field(description="The registered model's name; made if it does not exist.")]
    description: Annotated[str, Field(max_length=5000, description="What this version is.")] = ""
    tags: Annotated[
        Mapping[
            Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_. /-]+$", max_length=250)],
            Annotated[str, StringConstraints(max_length=5000)],
        ],
        Field(max_length=64, description="Tags of the version."),
    ] = {}
    metrics: Annotated[
        Mapping[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_. :/-]+$", max_length=250)], FiniteFloat | None],
        Field(max_length=256, description="Figures to show beside the model, by name; null ones are left out."),
    ] = {}


class RegisterOutputs(Outputs):
    """What ``mlflow.register`` gives."""

    version: Annotated[ModelVersion, Field(description="The new version, or the one that an earlier attempt made.")]


class IfBetter(BaseModel):
    """What a version has to be better at than the one in the stage, its champion."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    metric: Annotated[MetricName, Field(description="What both are compared by; it knows which direction is better.")]
    table: Annotated[Table, Field(description="The rows that both are judged on: neither may have learnt from them.")]
    by: Annotated[FiniteFloat, Field(ge=0, description="The least improvement that counts.")] = 0.0
    no_champion: Annotated[
        Literal["fail", "promote"],
        Field(
            description="What happens when no version is in the stage; fail: somebody has to say that there is none."
        ),
    ] = "fail"


class PromoteParams(Params):
    """What ``mlflow.promote`` takes."""

    version: Annotated[ModelVersion, Field(description="The version to move.")]
    stage: Annotated[Stage, Privilege("promote_to_production", "production"), Field(description="Where to move it.")]
    archive_existing: Annotated[
        bool, Field(description="Whether the version that stood there before becomes `archived`.")
    ] = True
    if_better: Annotated[
        IfBetter | None,
        Field(description="Move it only if it is better than the version in the stage now; null: in any case."),
    ] = None

    @model_validator(mode="after")
    def _has_a_champion(self) -> PromoteParams:
        if self.if_better is not None and self.stage == "archived":
            raise ValueError("if_better compares with the version in a stage, and there is none to compare in archived")
        return self


class PromoteOutputs(Outputs):
    """What ``mlflow.promote`` gives."""

    version: Annotated[
        ModelVersion,
        Field(description="The version, with the stage as its alias (none once archived, or when it was not moved)."),
    ]
    previous: Annotated[int | None, Field(description="The version that it replaced, if another stood there.")]
    promoted: Annotated[bool, Field(description="Whether the version is in the stage now.")]
    champion: Annotated[int | None, Field(description="The version that it was compared with; null without if_better.")]
    candidate_value: Annotated[float | None, Field(description="The metric of the version; null without if_better.")]
    champion_value: Annotated[float | None, Field(description="That of the champion; null when there was none.")]


class LoadParams(Params):
    """What ``mlflow.load`` takes: a name, and either a stage or a version."""

    name: Annotated[ModelName, Field(description="The registered model's name.")]
    stage: Annotated[
        Literal["development", "staging", "shadow", "production"] | None,
        Field(description="The stage to take it from."),
    ] = None
    version: Annotated[int | None, Field(ge=1, description="The version to take.")] = None
    missing: Annotated[
        Literal["fail"] | None,
        Field(description="null: no such model or version gives null outputs; an MLflow that is down fails as ever."),
    ] = "fail"

    @model_validator(mode="after")
    def _names_one(self) -> LoadParams:
        if (self.stage is None) == (self.version is None):
            raise ValueError("give either stage or version")
        return self


class LoadOutputs(Outputs):
    """What ``mlflow.load`` gives."""

    model: Annotated[
        Model | None,
        Field(description="The model, checked against the digest it was registered with; null with `missing: null`."),
    ]
    version: Annotated[
        ModelVersion | None, Field(description="The version it came from; null when there is none and `missing: null`.")
    ]


TOOL = Tool(
    name="mlflow",
    summary="Tracks runs, keeps models and their versions.",
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
    actions=(
        Action(
            name="register",
            summary="Logs a model to the run and makes it a version of a registered model, once however often tried.",
            params=RegisterParams,
            outputs=RegisterOutputs,
            effect=Effect.EXTERNAL,
            libraries=("mlflow",),
            begins_run=True,
            columns=True,
            verified=True,
        ),
        Action(
            name="promote",
            summary="Moves a model version to a stage, in any case or if it is better; the stage becomes its alias.",
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
            summary="Brings a registered model back as an artifact, by stage or version.",
            params=LoadParams,
            outputs=LoadOutputs,
            effect=Effect.EXTERNAL,
            libraries=("mlflow",),
            always=True,
            columns=True,
        ),
    ),
)
