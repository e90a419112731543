"""The Opik tool: feedback scores, and the sink that logs every run as a trace.

Declarations only: nothing of Opik is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, SecretStr, field_validator

from e2i.catalog import addresses
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials

LARGEST_SCORE = 999_999_999.0
"""Largest absolute value of a feedback score that Opik's server accepts."""


class OpikSettings(ToolSettings):
    """Settings of Opik. The default is embedded: the SDK writes to SQLite in the store, without a service."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Timeout of one call, in seconds.")] = 10.0
    url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#@]+$",
            description="API of a server, such as https://opik.example.com/api; null: embedded, in the store.",
        ),
    ] = None
    api_key: Annotated[
        SecretStr | None,
        Field(description="API key of the server. Write ${OPIK_API_KEY:-} and set the environment variable."),
    ] = None
    workspace: Annotated[str, Field(min_length=1, max_length=150, description="Workspace on the server.")] = "default"
    project_name: Annotated[str, Field(min_length=1, max_length=150, description="Project of the traces.")] = "e2i"
    environment: Annotated[
        str | None,
        Field(min_length=1, max_length=150, description="Environment that traces are marked with; null: the profile."),
    ] = None
    sampling_rate: Annotated[
        float,
        Field(
            ge=0, le=1, description="Fraction of traces that are recorded. The decision for one trace never changes."
        ),
    ] = 1.0

    @field_validator("url")
    @classmethod
    def _one_slash(cls, url: str | None) -> str | None:
        return None if url is None else addresses.check(url, addresses.HTTP).rstrip("/") + "/"

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.url) if self.url else None

    def identity(self) -> Mapping[str, Any]:
        if self.url is None:
            return {}
        return {"url": without_credentials(self.url), "workspace": self.workspace, "project_name": self.project_name}


class ScoreParams(Params):
    """Parameters of ``opik.score``."""

    name: Annotated[str, Field(min_length=1, max_length=150, description="Name of the score, a column in Opik.")]
    value: Annotated[FiniteFloat, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE, description="The score.")]
    reason: Annotated[str | None, Field(max_length=2000, description="Reason for the score.")] = None


class ScoreOutputs(Outputs):
    """Outputs of ``opik.score``."""

    trace: Annotated[str, Field(description="Id of the run's trace.")]
    project: Annotated[str, Field(description="Project of the trace.")]


TOOL = Tool(
    name="opik",
    summary="Traces of runs and steps, and feedback scores.",
    actions=(
        Action(
            name="score",
            summary="Adds a feedback score to this run's trace.",
            params=ScoreParams,
            outputs=ScoreOutputs,
            effect=Effect.EXTERNAL,
            always=True,  # the score is about this run, so the result of another run cannot be reused
        ),
    ),
    settings=OpikSettings,
    distribution="opik",
    extra="opik",
    outages=("httpx.TransportError",),
    imports=("opik",),
    variables=("OPIK_WORKSPACE", "OPIK_CHECK_TLS_CERTIFICATE", "REQUESTS_CA_BUNDLE"),
    credentials=("OPIK_API_KEY",),
)
