"""The BentoML tool: package a model, serve or deploy the package, move traffic, and send requests.

Declarations only: nothing of BentoML is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from e2i.catalog import addresses
from e2i.catalog.action import (
    Action,
    DeferredActions,
    Effect,
    Outputs,
    Params,
    SettingsModel,
    Tool,
    ToolSettings,
    host_and_port,
    without_credentials,
)
from e2i.catalog.artifacts import Bento, EffectModel, Endpoint, Model, Service, Table
from e2i.catalog.marks import Changing, Privilege
from e2i.documents import Values
from e2i.tools.bentoml.parameter_names import EndpointName, FeatureName

Scalar = bool | int | FiniteFloat | str | None

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]


class Cloud(SettingsModel):
    """BentoCloud, where Bentos are deployed instead of on this machine."""

    endpoint: Annotated[
        str, Field(pattern=r"^https?://[^\s/?#@]+/?$", description="Address of BentoCloud, without a path.")
    ] = "https://cloud.bentoml.com"
    api_token: Annotated[SecretStr, Field(min_length=1, description="Token of the account; best read from a variable.")]
    cluster: Annotated[str | None, Field(description="Cluster of the deployments; null: the account's own.")] = None
    instance_type: Annotated[
        str | None, Field(description="Kind of machine of a replica; null: the one that fits `resources`.")
    ] = None


class BentoMLSettings(ToolSettings):
    """Time limits of BentoML, and where Bentos are deployed. Its store is inside e2i's store."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Timeout of one request to a service, in seconds.")] = (
        10.0
    )
    build_deadline: Annotated[float, Field(gt=0, le=3600, description="Timeout of building a Bento, in seconds.")] = (
        120.0
    )
    home: Annotated[
        str | None,
        Field(
            min_length=1,
            description="BentoML's home, for programs; null: the folder in the store, which runs always use.",
        ),
    ] = None
    ready_deadline: Annotated[
        float,
        Field(gt=0, le=3600, description="Timeout of starting, changing or ending an endpoint, in seconds."),
    ] = 120.0
    endpoints: Annotated[
        tuple[
            Annotated[
                str,
                StringConstraints(pattern=r"^https?://[^\s?#@]+$"),
                AfterValidator(lambda address: addresses.check(address, addresses.HTTP)),
            ],
            ...,
        ],
        Field(description="Addresses of services on other machines that may be asked for predictions."),
    ] = ()
    cloud: Annotated[Cloud | None, Field(description="BentoCloud; null: endpoints are processes on this machine.")] = (
        None
    )

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.cloud.endpoint) if self.cloud is not None else None

    def identity(self) -> Values:
        if self.cloud is None:
            return {}
        return {"cloud": without_credentials(self.cloud.endpoint), "cluster": self.cloud.cluster or ""}


class PackageParams(Params):
    """Parameters of ``bentoml.package``."""

    model: Annotated[Model | EffectModel, Field(description="The fitted model, also that of `causal.estimate`.")]
    name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_-]{0,59}[a-z0-9]$", description="Name of the Bento and of its service.")
    ]
    version: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$",
            description="Version of the Bento. null: derived from its content, so that equal content is one Bento.",
        ),
    ] = None
    labels: Annotated[Mapping[Label, Label], Field(max_length=32, description="Labels of the Bento.")] = {}
    workers: Annotated[int, Field(ge=1, le=64, description="Number of processes that answer requests.")] = 1
    timeout: Annotated[int, Field(ge=1, le=3600, description="Timeout of one request in the service, in seconds.")] = 30
    concurrency: Annotated[
        int, Field(ge=1, le=10_000, description="Number of concurrent requests that the service is designed for.")
    ] = 32

    @field_validator("version")
    @classmethod
    def _is_not_reserved(cls, value: str | None) -> str | None:
        if value == "latest":
            raise ValueError("`latest` is reserved: BentoML uses it for the newest version")
        return value


class PackageOutputs(Outputs):
    """Outputs of ``bentoml.package``."""

    bento: Annotated[Bento, Field(description="The Bento in BentoML's store.")]


class ServeParams(Params):
    """Parameters of ``bentoml.serve``."""

    bento: Annotated[Bento, Field(description="The Bento to serve.")]
    port: Annotated[int, Field(ge=0, le=65535, description="Port on 127.0.0.1. 0: any free port.")] = 0
    keep: Annotated[
        bool,
        Privilege("keep_services", True),
        Field(description="Keep the service running after the run has ended."),
    ] = False


class ServeOutputs(Outputs):
    """Outputs of ``bentoml.serve``."""

    service: Annotated[Service, Field(description="The running service.")]


class PredictParams(Params):
    """Parameters of ``bentoml.predict``: whom to ask, and the first rows of a table, or rows written in the spec."""

    service: Annotated[Service | None, Field(description="The service to call.")] = None
    endpoint: Annotated[
        Endpoint | EndpointName | None,
        Changing(),
        Field(
            description="The endpoint to call instead, as a step returns it, or its name. By its name, it is asked in "
            "every run."
        ),
    ] = None
    table: Annotated[Table | None, Field(description="A table with the model's features.")] = None
    rows: Annotated[int, Field(ge=1, le=10_000, description="Number of rows to send, from the start of the table.")] = (
        100
    )
    input: Annotated[
        tuple[Mapping[str, Scalar], ...] | None,
        Field(
            min_length=1,
            max_length=10_000,
            description="Rows to send instead of a table, each a mapping of feature to value.",
        ),
    ] = None
    key: Annotated[
        FeatureName | None,
        Field(
            description="Column whose value is the key of a row: each row is sent in a request of its own, and "
            "requests of one key are answered by one Bento of the endpoint. null: all rows in one request, no key."
        ),
    ] = None
    keep: Annotated[
        tuple[FeatureName, ...],
        Field(max_length=1000, description="Columns of `table` to copy beside the predictions, such as the outcome."),
    ] = ()
    model: Annotated[
        Model | EffectModel | None,
        Field(description="A model to predict with locally as well. The service's predictions must agree with it."),
    ] = None
    tolerance: Annotated[FiniteFloat, Field(ge=0, description="Largest difference that counts as agreement.")] = 1e-6

    @model_validator(mode="after")
    def _has_rows(self) -> PredictParams:
        if (self.table is None) == (self.input is None):
            raise ValueError("set either `table` or `input`")
        if (self.service is None) == (self.endpoint is None):
            raise ValueError("set either `service` or `endpoint`")
        if self.keep and self.table is None:
            raise ValueError("`keep` copies columns of `table`")
        return self


class PredictOutputs(Outputs):
    """Outputs of ``bentoml.predict``."""

    predictions: Annotated[
        Table,
        Field(
            description="One row for each row sent: `prediction`, or one column `prediction_CLASS` per class for "
            "several classes, or `effect`, `lower` and `upper` of an effect model. With `key` also `bento`, the one "
            "that answered. The columns of `keep` come first."
        ),
    ]
    max_difference: Annotated[
        float | None, Field(description="Largest difference from the local model's predictions; null without a model.")
    ]


TOOL = Tool(
    name="bentoml",
    summary="Packages models as services, serves or deploys them, moves traffic and calls them.",
    distribution="bentoml",
    extra="bentoml",
    settings=BentoMLSettings,
    imports=("bentoml.bentos", "bentoml.models", "_bentoml_sdk"),
    outages=("httpx.TransportError",),
    actions=DeferredActions(
        __name__,
        Action(
            name="package",
            summary="Builds a Bento from a fitted model. Equal content is built once, also after retries.",
            params=PackageParams,
            outputs=PackageOutputs,
            effect=Effect.EXTERNAL,
            version=3,  # 2: accepts this machine's host names only; 3: answers with predictions and probabilities
            libraries=("bentoml",),
            columns=True,
            verified=True,
        ),
        Action(
            name="serve",
            summary="Serves a Bento on 127.0.0.1 until the run ends, or permanently with keep.",
            params=ServeParams,
            outputs=ServeOutputs,
            effect=Effect.SERVICE,
            libraries=("bentoml",),
            columns=True,
        ),
        Action(
            name="predict",
            summary="Sends rows to a service. With a model, checks that the predictions equal the model's own.",
            params=PredictParams,
            outputs=PredictOutputs,
            gate=True,
            libraries=("bentoml",),
            columns=True,
        ),
        "endpoint_params.deploy",
        "endpoint_params.update_traffic",
        "endpoint_params.rollback",
        "endpoint_params.undeploy",
        "endpoint_params.metrics",
    ),
)
