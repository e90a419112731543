"""What BentoML offers to a spec: package a model, serve the package on this machine, ask the service.

In: declarations only, nothing of BentoML is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, FiniteFloat, StringConstraints, field_validator, model_validator

from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import Bento, Model, Service, Table
from e2i.catalog.marks import Privilege

Scalar = bool | int | FiniteFloat | str | None

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]


class BentoMLSettings(ToolSettings):
    """How long to wait for BentoML. Its store is in e2i's; services are on the loopback address only."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Seconds that one request to a service may take.")] = (
        10.0
    )
    build_deadline: Annotated[float, Field(gt=0, le=3600, description="Seconds that building a Bento may take.")] = (
        120.0
    )


class PackageParams(Params):
    """What ``bentoml.package`` takes."""

    model: Annotated[Model, Field(description="The fitted model.")]
    name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_-]{0,59}[a-z0-9]$", description="The Bento's name, and its service's.")
    ]
    version: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$",
            description="The Bento's version; null: derived from its content, so that equal content is one Bento.",
        ),
    ] = None
    labels: Annotated[Mapping[Label, Label], Field(max_length=32, description="Labels of the Bento.")] = {}
    workers: Annotated[int, Field(ge=1, le=64, description="Processes that answer requests.")] = 1
    timeout: Annotated[int, Field(ge=1, le=3600, description="Seconds that one request may take.")] = 30
    concurrency: Annotated[
        int, Field(ge=1, le=10_000, description="Requests in flight that the service is meant for.")
    ] = 32

    @field_validator("version")
    @classmethod
    def _is_not_reserved(cls, value: str | None) -> str | None:
        if value == "latest":
            raise ValueError("`latest` is what BentoML calls the newest version")
        return value


class PackageOutputs(Outputs):
    """What ``bentoml.package`` gives."""

    bento: Annotated[Bento, Field(description="The Bento in BentoML's store.")]


class ServeParams(Params):
    """What ``bentoml.serve`` takes."""

    bento: Annotated[Bento, Field(description="The Bento to serve.")]
    port: Annotated[int, Field(ge=0, le=65535, description="Port on 127.0.0.1; 0: any that is free.")] = 0
    keep: Annotated[
        bool,
        Privilege("keep_services", True),
        Field(description="Whether the service stays when the run has ended."),
    ] = False


class ServeOutputs(Outputs):
    """What ``bentoml.serve`` gives."""

    service: Annotated[Service, Field(description="The running service.")]


class PredictParams(Params):
    """What ``bentoml.predict`` takes: a table's first rows, or rows written out."""

    service: Annotated[Service, Field(description="The service to ask.")]
    table: Annotated[Table | None, Field(description="A table that holds the model's features.")] = None
    rows: Annotated[int, Field(ge=1, le=10_000, description="How many of the table's first rows to send.")] = 100
    input: Annotated[
        tuple[Mapping[str, Scalar], ...] | None,
        Field(min_length=1, max_length=10_000, description="Rows to send instead, each a mapping of feature to value."),
    ] = None
    model: Annotated[
        Model | None, Field(description="The model to predict with on this side too; the answers must agree.")
    ] = None
    tolerance: Annotated[FiniteFloat, Field(ge=0, description="The largest difference that counts as agreement.")] = (
        1e-6
    )

    @model_validator(mode="after")
    def _has_rows(self) -> PredictParams:
        if (self.table is None) == (self.input is None):
            raise ValueError("give either table or input")
        return self


class PredictOutputs(Outputs):
    """What ``bentoml.predict`` gives."""

    predictions: Annotated[
        Table,
        Field(description="One row for each that was sent: `prediction`, or `prediction_CLASS` for several classes."),
    ]
    max_difference: Annotated[
        float | None, Field(description="The largest difference from the model's own answer; null without a model.")
    ]


TOOL = Tool(
    name="bentoml",
    summary="Packages models as services, serves them and asks them.",
    distribution="bentoml",
    extra="bentoml",
    settings=BentoMLSettings,
    imports=("bentoml.bentos", "bentoml.models", "_bentoml_sdk"),
    outages=("httpx.TransportError",),
    actions=(
        Action(
            name="package",
            summary="Builds a Bento from a fitted model: one for equal content, however often it is tried.",
            params=PackageParams,
            outputs=PackageOutputs,
            effect=Effect.EXTERNAL,
            version=2,  # 2: the service answers this machine's names only
            libraries=("bentoml",),
            columns=True,
            verified=True,
        ),
        Action(
            name="serve",
            summary="Serves a Bento on 127.0.0.1 while the run lasts, or for good with keep.",
            params=ServeParams,
            outputs=ServeOutputs,
            effect=Effect.SERVICE,
            libraries=("bentoml",),
            columns=True,
        ),
        Action(
            name="predict",
            summary="Sends rows to a service and, given the model, checks that the answers are the model's own.",
            params=PredictParams,
            outputs=PredictOutputs,
            gate=True,
            libraries=("bentoml",),
            columns=True,
        ),
    ),
)
