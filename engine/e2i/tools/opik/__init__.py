"""What Opik offers: a score for the run's trace, and the sink that shows every run as a trace.

In: declarations only, nothing of Opik is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, SecretStr, field_validator

from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials

LARGEST_SCORE = 999_999_999.0
"""Opik's server refuses feedback scores beyond this, and below its negative."""


class OpikSettings(ToolSettings):
    """Where Opik is. With nothing set it is embedded: the SDK writes to SQLite in the store, no service needed."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Seconds that one call may take.")] = 10.0
    url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#@]+$",
            description="The API of a server, such as https://opik.example.com/api; null: embedded, in the store.",
        ),
    ] = None
    api_key: Annotated[
        SecretStr | None, Field(description="The server's API key; write ${OPIK_API_KEY:-} and set the variable.")
    ] = None
    workspace: Annotated[str, Field(min_length=1, max_length=150, description="Workspace on the server.")] = "default"
    project: Annotated[str, Field(min_length=1, max_length=150, description="Project that the traces belong to.")] = (
        "e2i"
    )
    sampling_rate: Annotated[
        float, Field(ge=0, le=1, description="Share of runs that are traced; the same run is always in or always out.")
    ] = 1.0

    @field_validator("url")
    @classmethod
    def _one_slash(cls, url: str | None) -> str | None:
        return None if url is None else url.rstrip("/") + "/"

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.url) if self.url else None

    def identity(self) -> Mapping[str, Any]:
        if self.url is None:
            return {}
        return {"url": without_credentials(self.url), "workspace": self.workspace, "project": self.project}


class ScoreParams(Params):
    """What to say of the run."""

    name: Annotated[str, Field(min_length=1, max_length=150, description="Name of the score, a column in Opik.")]
    value: Annotated[FiniteFloat, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE, description="The score.")]
    reason: Annotated[str | None, Field(max_length=2000, description="Why it is what it is.")] = None


class ScoreOutputs(Outputs):
    """Where the score went."""

    trace: Annotated[str, Field(description="Id of the run's trace.")]
    project: Annotated[str, Field(description="The trace's project.")]


TOOL = Tool(
    name="opik",
    summary="Traces of runs and steps, and feedback scores.",
    actions=(
        Action(
            name="score",
            summary="Gives this run's trace a feedback score.",
            params=ScoreParams,
            outputs=ScoreOutputs,
            effect=Effect.EXTERNAL,
            always=True,  # it says something of this run: a result of another run cannot stand for it
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
