"""Types of the events that `e2i run --json` prints, for their JSON Schema.

Printed documents are tested against them. A document may have more keys than these: readers ignore unknown ones.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.planning.model import Why


class Document(BaseModel):
    """Base of documents and their elements."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, defer_build=True)


Version = Annotated[Literal[1], Field(description="Version of this document type.")]
Pointer = Annotated[str, Field(pattern="^(/[^/]*)*$", description="JSON pointer (RFC 6901) into the spec.")]
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class Operation(Document):
    """One RFC 6902 operation on the spec."""

    op: Literal["add", "remove", "replace", "move"]
    path: Pointer
    source: Annotated[Pointer | None, Field(alias="from", description="Source of a move.")] = None
    value: Annotated[Any, Field(description="Value of an add or replace.")] = None


class ProblemDocument(Document):
    """A problem of a spec, with its location."""

    code: Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", description="Problem code, for `e2i explain CODE`.")]
    severity: Annotated[Literal["error", "warning"], Field(description="A spec with warnings only is valid.")]
    message: Annotated[str, Field(description="Description for people.")]
    file: Annotated[str, Field(description="Path of the file, as the user typed it.")]
    line: Annotated[int, Field(ge=1, description="From 1.")]
    column: Annotated[int, Field(ge=1, description="From 1, in characters.")]
    path: Pointer
    hint: Annotated[str | None, Field(description="What to do about it.")]
    fixes: Annotated[list[Operation], Field(description="Safe fixes; empty when there is none.")]


class ReasonDocument(Document):
    """The reason for a step's verdict."""

    code: Annotated[Why, Field(description="Reason code, for programs.")]
    detail: Annotated[str, Field(description="Description for people: the change, with old and new value.")]


class ErrorDocument(Document):
    """The error of a failed step."""

    code: str
    message: str


class StepEnd(Document):
    """The result of a step."""

    status: Literal["succeeded", "reused", "failed", "skipped", "deferred", "cancelled"]
    attempts: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, description="Duration of the last attempt.")]
    error: ErrorDocument | None


class Event(Document):
    """Fields of every line of `e2i run --json`."""

    schema_version: Version
    event: str
    run: Annotated[str, Field(description="The run's id.")]
    step: Annotated[str | None, Field(description="The step of the event, if any.")]
    at: Annotated[float, Field(description="Seconds since the epoch.")]


class RunStarted(Event):
    event: Literal["run.started"]
    name: Annotated[str, Field(description="The pipeline's name.")]
    steps: Annotated[int, Field(ge=0, description="Number of steps.")]
    trackers: Annotated[list[str], Field(description="Tools that receive the run once a step is executed.")]
    resumed: Annotated[bool, Field(description="Whether a run that another process began is resumed.")]
    note: Annotated[str, Field(description="Why that run had not finished; empty with --resume.")]


class StepStarted(Event):
    event: Literal["step.started"]
    uses: str
    attempt: Annotated[int, Field(ge=1)]


class StepProgress(Event):
    event: Literal["step.progress"]
    done: Any
    total: Any
    note: Any


class StepRetried(Event):
    event: Literal["step.retried"]
    attempt: Annotated[int, Field(ge=1, description="Number of the next attempt.")]
    wait: Annotated[float, Field(ge=0, description="Seconds until the next attempt.")]
    error: ErrorDocument


class StepWaiting(Event):
    """Another run is executing the same step; its result will be reused."""

    event: Literal["step.waiting"]
    by: Annotated[str, Field(description="The other run.")]
    holder: Annotated[str, Field(description="Process of the other run: pid, start and boot, separated by colons.")]
    since: Annotated[float, Field(description="Start of the other execution, in seconds since the epoch.")]


class StepFinished(Event, StepEnd):
    """Printed only after the result is committed."""

    event: Literal["step.finished"]


class SpecWarning(Event):
    """A warning about the spec, which does not prevent the run."""

    event: Literal["spec.warning"]
    problem: ProblemDocument


class ArtifactCorrupt(Event):
    """A corrupt artifact was quarantined; the step that produces it runs again."""

    event: Literal["artifact.corrupt"]
    digest: Digest
    kept: Annotated[str, Field(description="Path of the quarantined bytes.")]


class LogCut(Event):
    """A step printed more than its log may hold. Beginning and end are kept."""

    event: Literal["log.cut"]
    limit: Annotated[int, Field(description="Maximum size of the log in bytes.")]


class StateCorrupt(Event):
    """The state of the store was unreadable. It was quarantined, and history starts empty."""

    event: Literal["state.corrupt"]
    kept: Annotated[str, Field(description="Path of the quarantined file.")]


class ToolDegraded(Event):
    event: Literal["tool.degraded"]
    tool: str
    waiting: Annotated[int, Field(ge=0, description="Entries waiting in the outbox.")]


class TelemetryWaiting(Event):
    """The outbox has entries for another tracker than the one in this run's settings."""

    event: Literal["telemetry.waiting"]
    tool: str
    waiting: Annotated[int, Field(ge=1, description="Number of entries.")]
    tracker: Annotated[str, Field(description="Address of that tracker, without credentials.")]
    profile: Annotated[str | None, Field(description="The profile whose `e2i sync` delivers them, if it is known.")]


class RunStopping(Event):
    event: Literal["run.stopping"]
    running: Annotated[list[str], Field(description="Steps that are still running.")]


class RunFinished(Event):
    """The last line."""

    event: Literal["run.finished"]
    status: Literal["succeeded", "failed", "interrupted"]
    steps: dict[str, StepEnd]
    outputs: Annotated[dict[str, Any], Field(description="The pipeline's outputs.")]
    degraded: Annotated[
        bool,
        Field(description="A step was deferred, or telemetry waits or was refused."),
    ]


Events = Annotated[
    RunStarted
    | StepStarted
    | StepProgress
    | StepRetried
    | StepWaiting
    | StepFinished
    | ArtifactCorrupt
    | SpecWarning
    | LogCut
    | StateCorrupt
    | ToolDegraded
    | TelemetryWaiting
    | RunStopping
    | RunFinished,
    Field(discriminator="event"),
]
