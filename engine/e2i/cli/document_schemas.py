"""The JSON documents that commands print, as types. Out: their JSON Schemas; what is printed is tested against them.

A document may have more keys than these: readers ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from e2i.catalog.schema import DIALECT, pipeline_schema
from e2i.planning.model import Verdict, Why


class Document(BaseModel):
    """Base of the parts of documents."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, defer_build=True)


Version = Annotated[Literal[1], Field(description="Version of this kind of document.")]
Pointer = Annotated[str, Field(pattern="^(/[^/]*)*$", description="JSON pointer (RFC 6901) into the spec.")]
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class Operation(Document):
    """One RFC 6902 operation on the spec."""

    op: Literal["add", "remove", "replace", "move"]
    path: Pointer
    source: Annotated[Pointer | None, Field(alias="from", description="Of a move: what is moved.")] = None
    value: Annotated[Any, Field(description="Of add and replace: the value.")] = None


class ProblemDocument(Document):
    """What is wrong with a spec, and where."""

    code: Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", description="What kind of problem: `e2i explain CODE`.")]
    severity: Annotated[Literal["error", "warning"], Field(description="A warning leaves the spec valid.")]
    message: Annotated[str, Field(description="What is wrong, for people.")]
    file: Annotated[str, Field(description="The file, as it was given.")]
    line: Annotated[int, Field(ge=1, description="From 1.")]
    column: Annotated[int, Field(ge=1, description="From 1, in characters.")]
    path: Pointer
    hint: Annotated[str | None, Field(description="What to do about it.")]
    fixes: Annotated[list[Operation], Field(description="What mends it for certain; empty when nothing does.")]


class Problems(Document):
    """What `e2i validate --json` prints, and every command that is given an invalid spec."""

    schema_version: Version
    valid: Annotated[bool, Field(description="True when no problem is an error.")]
    problems: Annotated[list[ProblemDocument], Field(description="All of them, sorted by place.")]


class ReasonDocument(Document):
    """Why a step has its verdict."""

    code: Annotated[Why, Field(description="For programs.")]
    detail: Annotated[str, Field(description="For people: what changed, from what to what.")]


class PlanStepDocument(Document):
    """What will happen to one step."""

    id: Annotated[str, Field(description="The step's id; a matrix combination is `train[XGBoost]`.")]
    uses: Annotated[str, Field(description="The action.")]
    needs: Annotated[list[str], Field(description="The steps that come first.")]
    verdict: Annotated[Verdict, Field(description="undecided: known when an upstream step has run.")]
    reason: ReasonDocument
    fingerprint: Annotated[Digest | None, Field(description="Of all that its result depends on, where that is known.")]
    inputs: Annotated[dict[str, Any], Field(description="Action, parameters, digests of files, libraries, seed.")]
    options: Annotated[dict[str, Any], Field(description="Conditions, retries, time limits and the like.")]
    final: Annotated[
        Literal[True] | None, Field(alias="finally", description="It runs after all others; else not there.")
    ] = None


class UndecidedDocument(Document):
    """A parameter that decides which file a step reads or which code it runs, and that only the run can know."""

    step: Annotated[str, Field(description="The step's id.")]
    parameter: Annotated[str, Field(description="The way to the parameter's value.")]
    kind: Annotated[Literal["file", "code"], Field(description="A run that is bound to the plan refuses `code`.")]
    value: Annotated[str, Field(description="The expression.")]


class PlanDocument(Document):
    """What `e2i plan --json` prints and `e2i plan -o` writes; a run can be bound to it."""

    schema_version: Version
    digest: Annotated[
        Digest, Field(description="Of all that can affect execution: all but verdicts, reasons and fingerprints.")
    ]
    name: Annotated[str, Field(description="The pipeline's name.")]
    profile: Annotated[str, Field(description="The settings that a run would have.")]
    params: Annotated[dict[str, Any], Field(description="The value of every parameter.")]
    outputs: Annotated[
        dict[str, Any], Field(description="What a run will give back, with expressions where only the run can tell.")
    ]
    environment: Annotated[
        dict[str, Any],
        Field(
            description="What the operator says that decides what a run does: policy, tools, sinks, secrets by name."
        ),
    ]
    undecided: Annotated[list[UndecidedDocument], Field(description="Files and code that only the run can know.")]
    steps: Annotated[list[PlanStepDocument], Field(description="In the order of their graph.")]
    summary: Annotated[dict[Verdict, int], Field(description="How many steps have each verdict.")]
    checksum: Annotated[Digest, Field(description="Of this document without it.")]


class ErrorDocument(Document):
    """Why a step failed."""

    code: str
    message: str


class StepEnd(Document):
    """How a step ended."""

    status: Literal["succeeded", "reused", "failed", "skipped", "deferred", "cancelled"]
    attempts: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, description="Of the last attempt.")]
    error: ErrorDocument | None


class Event(Document):
    """What every line of `e2i run --json` has."""

    schema_version: Version
    event: str
    run: Annotated[str, Field(description="The run's id.")]
    step: Annotated[str | None, Field(description="The step that it is about, if it is about one.")]
    at: Annotated[float, Field(description="Seconds since the epoch.")]


class RunStarted(Event):
    event: Literal["run.started"]
    name: Annotated[str, Field(description="The pipeline's name.")]
    steps: Annotated[int, Field(ge=0, description="How many steps there are.")]
    trackers: Annotated[list[str], Field(description="The tools that it is reported to once a step is carried out.")]
    resumed: Annotated[bool, Field(description="Whether it goes on with a run that another process began.")]
    note: Annotated[str, Field(description="Why that run did not come to its end, if it was not named by --resume.")]


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
    attempt: Annotated[int, Field(ge=1, description="The attempt to come.")]
    wait: Annotated[float, Field(ge=0, description="Seconds until the next.")]
    error: ErrorDocument


class StepWaiting(Event):
    """Another run is doing the same work; its result will be taken."""

    event: Literal["step.waiting"]
    by: Annotated[str, Field(description="The other run.")]
    holder: Annotated[str, Field(description="Its process: pid, start and boot, with colons between them.")]
    since: Annotated[float, Field(description="Since when, in seconds since the epoch.")]


class StepFinished(Event, StepEnd):
    """Printed only after it is durable."""

    event: Literal["step.finished"]


class SpecWarning(Event):
    """The spec has a problem that does not keep it from running."""

    event: Literal["spec.warning"]
    problem: ProblemDocument


class ArtifactCorrupt(Event):
    """Something in the store no longer had the bytes it was stored with; the step that makes it runs again."""

    event: Literal["artifact.corrupt"]
    digest: Digest
    kept: Annotated[str, Field(description="Where the corrupt bytes are now.")]


class LogCut(Event):
    """A step printed more than its log may have: the beginning and the end are kept."""

    event: Literal["log.cut"]
    limit: Annotated[int, Field(description="Bytes that the log may have.")]


class StateCorrupt(Event):
    """The state of the store was corrupt beyond reading: it was set aside, and history begins anew."""

    event: Literal["state.corrupt"]
    kept: Annotated[str, Field(description="Where the corrupt file is now.")]


class ToolDegraded(Event):
    event: Literal["tool.degraded"]
    tool: str
    waiting: Annotated[int, Field(ge=0, description="What waits for it in the outbox.")]


class TelemetryWaiting(Event):
    """Entries of the outbox wait for another tracker than the one that this run's settings name."""

    event: Literal["telemetry.waiting"]
    tool: str
    waiting: Annotated[int, Field(ge=1, description="How many.")]
    tracker: Annotated[str, Field(description="The address that they are meant for, without credentials.")]
    profile: Annotated[str | None, Field(description="The profile whose `e2i sync` delivers them, if it is known.")]


class RunStopping(Event):
    event: Literal["run.stopping"]
    running: Annotated[list[str], Field(description="Steps that are being ended.")]


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
    from e2i.cli import record_schemas  # it builds on the types of this module

    return _schema(getattr(record_schemas, kind), name, title)


def _of_store(kind: str, name: str, title: str) -> dict[str, Any]:
    from e2i.cli import store_schemas  # it too

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
"""What ``schemas/NAME.v1.json`` holds."""
