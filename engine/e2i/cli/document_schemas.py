"""Types of the JSON documents that commands print, and their JSON Schemas.

Printed documents are tested against them. A document may have more keys than these: readers ignore unknown ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from e2i.catalog.schema import pipeline_schema
from e2i.documents import DIALECT
from e2i.planning.model import Verdict, Why


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


class TextEditDocument(Document):
    """A replacement of a part of the file's text, up to but not including the character at the end."""

    line: Annotated[int, Field(ge=1, description="Start, from 1.")]
    column: Annotated[int, Field(ge=1, description="Start, from 1, in characters.")]
    end_line: Annotated[int, Field(ge=1, description="End, from 1.")]
    end_column: Annotated[int, Field(ge=1, description="End, from 1, in characters.")]
    text: Annotated[str, Field(description="The new text.")]


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
    fixable: Annotated[bool, Field(description="True when `e2i fix` can fix it: by `fixes`, or by `edit`.")]
    edit: Annotated[
        TextEditDocument | None,
        Field(description="Safe fix of a text that cannot be read as YAML and has no paths for `fixes`."),
    ]


class Problems(Document):
    """Output of `e2i validate --json`, and of every command with an invalid spec."""

    schema_version: Version
    valid: Annotated[bool, Field(description="True when no problem is an error.")]
    problems: Annotated[list[ProblemDocument], Field(description="All problems, sorted by location.")]


class ReasonDocument(Document):
    """The reason for a step's verdict."""

    code: Annotated[Why, Field(description="Reason code, for programs.")]
    detail: Annotated[str, Field(description="Description for people: the change, with old and new value.")]


class PlanStepDocument(Document):
    """The planned execution of one step."""

    id: Annotated[str, Field(description="The step's id; a matrix combination is `train[XGBoost]`.")]
    uses: Annotated[str, Field(description="The action.")]
    needs: Annotated[list[str], Field(description="The upstream steps.")]
    verdict: Annotated[Verdict, Field(description="undecided: decided once an upstream step has run.")]
    reason: ReasonDocument
    fingerprint: Annotated[Digest | None, Field(description="Hash of all that the result depends on, if known.")]
    inputs: Annotated[dict[str, Any], Field(description="Action, parameters, digests of files, libraries, seed.")]
    options: Annotated[dict[str, Any], Field(description="Conditions, retries, time limits and the like.")]
    final: Annotated[
        Literal[True] | None,
        Field(alias="finally", description="True if it runs after all others, else absent."),
    ] = None


class UndecidedDocument(Document):
    """A parameter known only during the run that decides which file a step reads or which code it runs."""

    step: Annotated[str, Field(description="The step's id.")]
    parameter: Annotated[str, Field(description="Path to the parameter's value.")]
    kind: Annotated[Literal["file", "code"], Field(description="A run that is bound to a plan refuses `code`.")]
    value: Annotated[str, Field(description="The expression.")]


class PlanDocument(Document):
    """Output of `e2i plan --json` and `e2i plan -o`. A run can be bound to it."""

    schema_version: Version
    digest: Annotated[
        Digest, Field(description="Hash of all that can affect execution: all but verdicts, reasons and fingerprints.")
    ]
    name: Annotated[str, Field(description="The pipeline's name.")]
    profile: Annotated[str, Field(description="The profile of the settings.")]
    params: Annotated[dict[str, Any], Field(description="The value of every parameter.")]
    outputs: Annotated[
        dict[str, Any],
        Field(description="The pipeline's outputs; expressions for values still unknown."),
    ]
    environment: Annotated[
        dict[str, Any],
        Field(description="Settings that affect a run: policy, tools, sinks, names of secrets."),
    ]
    undecided: Annotated[list[UndecidedDocument], Field(description="Files and code known only during the run.")]
    steps: Annotated[list[PlanStepDocument], Field(description="In topological order.")]
    summary: Annotated[dict[Verdict, int], Field(description="Number of steps with each verdict.")]
    checksum: Annotated[Digest, Field(description="Hash of this document without this field.")]


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


def _schema(kind: Any, name: str, title: str) -> dict[str, Any]:
    found = TypeAdapter(kind).json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, "$id": f"{name}.v1.json", **found, "title": title}


def _recorded(kind: str, name: str, title: str) -> dict[str, Any]:
    from e2i.cli import record_schemas  # it imports the types of this module

    return _schema(getattr(record_schemas, kind), name, title)


def _of_store(kind: str, name: str, title: str) -> dict[str, Any]:
    from e2i.cli import store_schemas  # it imports them too

    return _schema(getattr(store_schemas, kind), name, title)


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "pipeline": pipeline_schema,
    "problems": lambda: _schema(Problems, "problems", "e2i problems, version 1"),
    "plan": lambda: _schema(PlanDocument, "plan", "e2i plan, version 1"),
    "events": lambda: _schema(Events, "events", "e2i event, one line of `e2i run --json`, version 1"),
    "runs": lambda: _recorded("Runs", "runs", "e2i list of runs, version 1"),
    "run": lambda: _recorded("RunDocument", "run", "e2i run, version 1"),
    "comparison": lambda: _recorded("Comparison", "comparison", "e2i comparison of two runs, version 1"),
    "provenance": lambda: _recorded("ProvenanceDocument", "provenance", "e2i provenance, version 1"),
    "doctor": lambda: _of_store("DoctorDocument", "doctor", "e2i doctor, version 1"),
    "sync": lambda: _of_store("SyncDocument", "sync", "e2i sync, version 1"),
    "gc": lambda: _of_store("CollectionDocument", "gc", "e2i gc, version 1"),
    "backup": lambda: _of_store("BackupDocument", "backup", "e2i backup, version 1"),
    "init": lambda: _of_store("InitDocument", "init", "e2i init, version 1"),
    "restore": lambda: _of_store("RestoreDocument", "restore", "e2i restore, version 1"),
}
"""The kinds of schema; ``schemas/NAME.v1.json`` holds each."""
