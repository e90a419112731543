"""The notification about the end of a run, as webhooks and commands receive it.

In: the events of a run, or the error that kept it from starting. Out: a document. It holds no data of the run, no
message (messages may quote data), no parameter and no secret.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument, Milliseconds

End = Literal["succeeded", "failed", "interrupted", "not-started"]


class NotifiedError(Element, frozen=True, kw_only=True):
    """An error of the run, or of one of its steps."""

    code: Annotated[str, Meta(description="What kind of error: `e2i explain CODE`.")]
    step: Annotated[str | None, Meta(description="The step; null: the run as a whole.")]
    tool: Annotated[str | None, Meta(description="The tool of the step.")]
    status: Annotated[str, Meta(description="Status of the step: failed, deferred, skipped; else that of the run.")]
    outage: Annotated[bool, Meta(description="Whether the tool was unavailable and may be back later.")]


class WaitingTelemetry(Element, frozen=True, kw_only=True):
    """What a tool did not receive."""

    tool: Annotated[str, Meta(description="The tool's name.")]
    waiting: Annotated[Count, Meta(description="Entries waiting in the outbox: `e2i sync` delivers them.")]
    refused: Annotated[Count, Meta(description="Entries that the tool refused.")]


class Notification(JsonDocument, frozen=True, kw_only=True):
    """The end of a run, for the hooks of the setting `on_finish`."""

    run: Annotated[str | None, Meta(description="The run's id; null: it did not start.")]
    pipeline: Annotated[str | None, Meta(description="The pipeline's name; null: the spec could not be read.")]
    status: End
    exit_code: Annotated[int, Meta(description="The exit code of `e2i run`.")]
    errors: Annotated[tuple[NotifiedError, ...], Meta(description="What went wrong, in the order of the plan.")]
    degraded: Annotated[bool, Meta(description="A step was deferred, or telemetry waits or was refused.")]
    telemetry: Annotated[tuple[WaitingTelemetry, ...], Meta(description="The degraded tools.")]
    ended_ms: Milliseconds
    seconds: Annotated[float, Meta(ge=0, description="Duration, with all attempts of `--retry-run`.")]
    attempts: Annotated[int, Meta(ge=1, description="Attempts of the run: 1, or more with `--retry-run`.")]
    profile: Annotated[str, Meta(description="The profile of the run's settings.")]
    host: Annotated[str, Meta(description="The machine.")]
    report: Annotated[
        str | None, Meta(description="Path of the HTML report; null: `e2i report RUN` has not written it.")
    ]

    @property
    def key(self) -> str:
        """The same for every delivery of this notification."""
        return f"{self.run or f'{self.host}-{self.ended_ms}'}/{self.status}"
