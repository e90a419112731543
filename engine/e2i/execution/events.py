"""Events of a run: one struct for each, the lines of ``e2i run --json``.

``Event`` is their union, ``Listener`` receives it. ``schemas/events.v1.json`` is generated from these structs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import Count, Digest, JsonDocument, OutputValues
from e2i.execution.record import Attempts, FinalStatus, RunStatus, Seconds, StepEnd
from e2i.resilience.breaker import State
from e2i.spec.problems import ProblemDocument

Step = Annotated[str, Meta(description="The step's id.")]
Tool = Annotated[str, Meta(description="The tool's name.")]


class RunEvent(JsonDocument, frozen=True, tag_field="event"):
    """Fields of every event."""

    run: Annotated[str, Meta(description="The run's id.")]
    at: Annotated[float, Meta(description="Seconds since the epoch.")]
    step: Annotated[str | None, Meta(description="The step of the event, if any.")] = None


class RunStarted(RunEvent, frozen=True, kw_only=True, tag="run.started"):
    """The first event of the engine."""

    name: Annotated[str, Meta(description="The pipeline's name.")]
    steps: Annotated[Count, Meta(description="Number of steps.")]
    trackers: Annotated[tuple[str, ...], Meta(description="Tools that receive the run once a step is executed.")]
    resumed: Annotated[bool, Meta(description="Whether a run that another process began is resumed.")]
    note: Annotated[str, Meta(description="Why that run had not finished; empty with --resume.")]


class StepStarted(RunEvent, frozen=True, kw_only=True, tag="step.started"):
    """An attempt of a step begins."""

    step: Step
    uses: Annotated[str, Meta(description="The action.")]
    attempt: Annotated[int, Meta(ge=1)]


class StepProgress(RunEvent, frozen=True, kw_only=True, tag="step.progress"):
    """A running step has done a part of its work."""

    step: Step
    done: Annotated[int, Meta(description="Number of finished units, such as trials.")]
    total: Annotated[int, Meta(description="Number of all units.")]
    note: Annotated[str, Meta(description="Description for people.")]


class StepRetried(RunEvent, frozen=True, kw_only=True, tag="step.retried"):
    """An attempt failed, and another one follows."""

    step: Step
    attempt: Annotated[int, Meta(ge=1, description="Number of the next attempt.")]
    wait: Annotated[float, Meta(ge=0, description="Seconds until the next attempt.")]
    error: ErrorDocument


class StepWarned(RunEvent, frozen=True, kw_only=True, tag="step.warning"):
    """An action warns about the data or the result of a step that succeeds. Reused results keep their warnings."""

    step: Step
    message: Annotated[str, Meta(description="Description for people.")]


class StepWaiting(RunEvent, frozen=True, kw_only=True, tag="step.waiting"):
    """Another run is executing the same step; its result will be reused."""

    step: Step
    by: Annotated[str, Meta(description="The other run.")]
    holder: Annotated[str, Meta(description="Process of the other run: pid, start and boot, separated by colons.")]
    since: Annotated[float, Meta(description="Start of the other execution, in seconds since the epoch.")]


class RunWaiting(RunEvent, frozen=True, kw_only=True, tag="run.waiting"):
    """The run waits for its turn: the store executes as many runs as `max_runs` allows. It has no id yet."""

    run: Annotated[str, Meta(description="Empty: a run gets its id when it begins.")] = ""
    position: Annotated[int, Meta(ge=1, description="Place in the queue; 1: the next.")]
    limit: Annotated[int, Meta(description="The setting `max_runs`.")]
    runs: Annotated[tuple[str, ...], Meta(description="The runs that execute now, as far as they have an id.")]
    processes: Annotated[tuple[int, ...], Meta(description="Their processes.")]


class StepQueued(RunEvent, frozen=True, kw_only=True, tag="step.queued"):
    """The step waits until steps of this and other runs leave enough of `resources: total_memory`."""

    step: Step
    memory: Annotated[Count, Meta(description="Bytes that the step declares.")]
    used: Annotated[Count, Meta(description="Bytes that running steps declare.")]
    total: Annotated[Count, Meta(description="Bytes that they may declare together.")]
    runs: Annotated[tuple[str, ...], Meta(description="The runs whose steps hold the memory or wait before this one.")]


class StepFinished(RunEvent, frozen=True, kw_only=True, tag="step.finished"):
    """Printed only after the result is committed."""

    step: Step
    status: FinalStatus
    attempts: Attempts
    seconds: Seconds
    error: ErrorDocument | None
    note: Annotated[str, Meta(description="Why the step was skipped, or what was missing of an earlier result.")]


class SpecWarning(RunEvent, frozen=True, kw_only=True, tag="spec.warning"):
    """A warning about the spec, which does not prevent the run."""

    problem: ProblemDocument


class ArtifactCorrupt(RunEvent, frozen=True, kw_only=True, tag="artifact.corrupt"):
    """A corrupt artifact was quarantined; the step that produces it runs again."""

    digest: Digest
    kept: Annotated[str, Meta(description="Path of the quarantined bytes.")]


class LogCut(RunEvent, frozen=True, kw_only=True, tag="log.cut"):
    """A step printed more than its log may hold. Beginning and end are kept."""

    step: Step
    limit: Annotated[int, Meta(description="Maximum size of the log in bytes.")]


class StateCorrupt(RunEvent, frozen=True, kw_only=True, tag="state.corrupt"):
    """The state of the store was unreadable. It was quarantined, and history starts empty."""

    kept: Annotated[str, Meta(description="Path of the quarantined file.")]


class ToolDegraded(RunEvent, frozen=True, kw_only=True, tag="tool.degraded"):
    """A tool did not receive everything."""

    tool: Tool
    waiting: Annotated[Count, Meta(description="Entries waiting in the outbox.")] = 0
    refused: Annotated[Count, Meta(description="Entries that the tool refused, or results that it lacks.")] = 0
    problem: Annotated[str | None, Meta(description="The reason, if it is known.")]


class ToolCircuit(RunEvent, frozen=True, kw_only=True, tag="tool.circuit"):
    """The circuit breaker of a tool's server has changed its state, in any process of the store."""

    tool: Tool
    server: Annotated[str | None, Meta(description="Name of the server in the settings; null: the tool's only one.")]
    state: Annotated[State, Meta(description="`open`: calls are rejected; `half-open`: probes are let through.")]
    was: Annotated[State, Meta(description="The state before, as this run has reported it; `closed` at its start.")]
    next_attempt: Annotated[float | None, Meta(description="Seconds until the next call is allowed; null: now.")]


class TelemetryWaiting(RunEvent, frozen=True, kw_only=True, tag="telemetry.waiting"):
    """The outbox has entries for another tracker than the one in this run's settings."""

    tool: Tool
    waiting: Annotated[int, Meta(ge=1, description="Number of entries.")]
    tracker: Annotated[str, Meta(description="Address of that tracker, without credentials.")]
    profile: Annotated[str | None, Meta(description="The profile whose `e2i sync` delivers them, if it is known.")]


class RunRetried(RunEvent, frozen=True, kw_only=True, tag="run.retried"):
    """The run did not succeed, and is resumed after a wait (`--retry-run`)."""

    attempt: Annotated[int, Meta(ge=2, description="Number of the next attempt.")]
    attempts: Annotated[int, Meta(ge=2, description="The largest number of attempts.")]
    wait: Annotated[float, Meta(ge=0, description="Seconds until the next attempt.")]
    reason: Annotated[str, Meta(description="The error codes, each with its step.")]


class HookFinished(RunEvent, frozen=True, kw_only=True, tag="hook.finished"):
    """A hook of the settings (`on_finish`) was notified of the end of the run, or could not be."""

    hook: Annotated[str, Meta(description="The webhook's host, or the name of the command.")]
    delivered: Annotated[bool, Meta(description="Whether the webhook accepted it, or the command succeeded.")]
    attempts: Attempts
    seconds: Annotated[float, Meta(ge=0, description="Duration of all attempts.")]
    problem: Annotated[str | None, Meta(description="Why it was not delivered.")]


class SettingFailed(RunEvent, frozen=True, kw_only=True, tag="setting.failed"):
    """The log or the metrics file of the settings cannot be written. The run is not affected."""

    setting: Annotated[Literal["log", "metrics_file"], Meta(description="The setting.")]
    problem: Annotated[str, Meta(description="Why, with the path.")]


class RunStopping(RunEvent, frozen=True, kw_only=True, tag="run.stopping"):
    """The run was asked to stop."""

    running: Annotated[tuple[str, ...], Meta(description="Steps that are still running.")]


class RunFinished(RunEvent, frozen=True, kw_only=True, tag="run.finished"):
    """The last line."""

    status: RunStatus
    steps: dict[str, StepEnd]
    outputs: Annotated[OutputValues, Meta(description="The pipeline's outputs.")]
    degraded: Annotated[bool, Meta(description="A step was deferred, or telemetry waits or was refused.")]


Event = (
    RunStarted
    | StepStarted
    | StepProgress
    | StepRetried
    | StepWarned
    | RunWaiting
    | StepWaiting
    | StepQueued
    | StepFinished
    | SpecWarning
    | ArtifactCorrupt
    | LogCut
    | StateCorrupt
    | ToolDegraded
    | ToolCircuit
    | TelemetryWaiting
    | RunRetried
    | HookFinished
    | SettingFailed
    | RunStopping
    | RunFinished
)
"""Something that happened during a run."""

Listener = Callable[[Event], None]
Stamped = Callable[[str, float], Event]
"""An event that lacks only its run and its time: its class with all other fields, as a ``functools.partial``."""
