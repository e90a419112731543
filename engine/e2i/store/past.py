"""The records of past runs: one struct each, as the run store returns them and `--json` prints them.

Names in JSON are those of the columns. What an action or a user alone can know is plain data (``JsonObject``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import Digest, Element, JsonDocument, JsonObject, Milliseconds, OutputValues, ParamValues, Version
from e2i.planning.inputs import Components
from e2i.planning.model import Verdict, Why

RunStatus = Annotated[
    Literal["running", "succeeded", "failed", "interrupted"],
    Meta(description="interrupted: its process exited, or was stopped; the run can be resumed."),
]
StepStatus = Annotated[
    Literal[
        "pending", "running", "succeeded", "reused", "failed", "skipped", "deferred", "cancelled", "interrupted"
    ],
    Meta(description="interrupted: its process ended during the step."),
]  # fmt: skip
Planned = Annotated[str, Meta(description="The verdict of the plan.", extra_json_schema={"enum": [*Verdict]})]
"""A verdict. Read as text: a run of another version of e2i may have others."""
ReasonCode = Annotated[str, Meta(description="Reason code, for programs.", extra_json_schema={"enum": [*Why]})]


class RunError(Element, frozen=True, kw_only=True):
    """The error of one step of a run."""

    step: Annotated[str, Meta(description="The step's id.")]
    uses: Annotated[str, Meta(description="The action; the tool is the part before the dot.")]
    status: StepStatus
    code: Annotated[str, Meta(description="What kind of error: `e2i explain CODE`.")]
    message: Annotated[str, Meta(description="Description for people.")]
    outage: Annotated[bool, Meta(description="Whether the tool was unavailable and may be back later.")]


class RunHead(Element, frozen=True, kw_only=True):
    """The fields that every document has for a run."""

    id: Annotated[str, Meta(description="The run's id.")] = field(name="run")
    pipeline: Annotated[str, Meta(description="The pipeline's name.")]
    status: RunStatus
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    paused_ms: Annotated[int, Meta(description="Time since the start during which the run was interrupted.")]
    resumed_ms: Annotated[Milliseconds | None, Meta(description="When the run was last resumed. null: never.")]
    file: Annotated[str, Meta(description="Path of the spec, as the user typed it.")]
    profile: Annotated[str, Meta(description="The profile of the run's settings.")]


class RunOutcome(RunHead, frozen=True, kw_only=True):
    """A run with what it received and what came of it."""

    params: Annotated[ParamValues, Meta(description="The value of every parameter.")]
    outputs: Annotated[OutputValues | None, Meta(description="The pipeline's outputs, once the run has ended.")]
    errors: Annotated[
        tuple[RunError, ...], Meta(description="Errors of its steps: failed, deferred, or skipped with their tool.")
    ] = ()


class ListedRun(RunOutcome, frozen=True, kw_only=True):
    """A run in the list."""

    host: Annotated[str, Meta(description="The machine; empty for runs of early versions.")]
    steps: Annotated[dict[str, int], Meta(description="Number of steps in each status.")]


class RunList(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i runs --json`."""

    runs: Annotated[tuple[ListedRun, ...], Meta(description="Newest first.")]


class GitState(Element, frozen=True, kw_only=True):
    """The git repository of the workspace when the run started."""

    commit: Annotated[str | UnsetType | None, Meta(description="null: there is no commit yet.")] = UNSET
    branch: Annotated[str | UnsetType | None, Meta(description="null: the head is detached.")] = UNSET
    dirty: Annotated[
        bool | UnsetType | None,
        Meta(
            description="Whether tracked files differ from the commit. null: unknown without running a filter program"
            " that the repository configures, which is never run."
        ),
    ] = UNSET
    changed: Annotated[tuple[str, ...] | UnsetType, Meta(description="The first changed files.")] = UNSET
    changed_files: Annotated[int, Meta(ge=0, description="Number of changed files.")] | UnsetType = UNSET
    remote: Annotated[str | UnsetType | None, Meta(description="Of origin, without user and password.")] = UNSET
    path: Annotated[str | UnsetType | None, Meta(description="Path of the spec in the repository.")] = UNSET
    problem: Annotated[str | UnsetType, Meta(description="Why git could not report it.")] = UNSET


class RunOrigin(Element, frozen=True, kw_only=True):
    """Origin of a run; empty for runs of early versions."""

    e2i: Annotated[str | UnsetType, Meta(description="Version of e2i.")] = UNSET
    python: Annotated[str | UnsetType, Meta(description="Version of Python.")] = UNSET
    system: Annotated[str | UnsetType, Meta(description="Operating system, its version, processor.")] = UNSET
    host: Annotated[str | UnsetType, Meta(description="The machine.")] = UNSET
    cores: Annotated[int | UnsetType, Meta(description="Number of cores that the run could use.")] = UNSET
    libraries: Annotated[
        dict[str, str] | UnsetType, Meta(description="Libraries that the actions of the plan declare.")
    ] = UNSET
    seed: Annotated[int | UnsetType, Meta(description="The seed of the run.")] = UNSET
    spec: Annotated[Digest | UnsetType | None, Meta(description="Of the spec's text.")] = UNSET
    git: Annotated[GitState | UnsetType | None, Meta(description="null: no repository, or no git.")] = UNSET

    @property
    def repository(self) -> GitState:
        """Returns what git reported; empty without a repository."""
        return self.git or GitState()


class RecordedOptions(Element, frozen=True, kw_only=True):
    """The options of a run that its resumption keeps; empty for runs of early versions."""

    select: Annotated[tuple[str, ...] | UnsetType, Meta(description="The selection of steps.")] = UNSET
    fresh: Annotated[bool | UnsetType, Meta(description="Whether cached results were ignored.")] = UNSET
    origin: Annotated[str | UnsetType, Meta(description="The kind of author of the spec: human or agent.")] = UNSET
    bound: Annotated[bool | UnsetType, Meta(description="Whether the run was bound to an approved plan.")] = UNSET


class RecordedReason(Element, frozen=True, kw_only=True):
    """The reason for a step's verdict."""

    code: ReasonCode
    detail: Annotated[str, Meta(description="Description for people: the change, with old and new value.")]


class PlannedStep(Element, frozen=True, kw_only=True):
    """A step in a recorded plan."""

    id: Annotated[str, Meta(description="The step's id; a matrix combination is `train[XGBoost]`.")]
    uses: Annotated[str, Meta(description="The action.")]
    needs: Annotated[tuple[str, ...], Meta(description="The upstream steps.")]
    final: Annotated[Literal[True] | UnsetType, Meta(description="True if it runs after all others, else absent.")] = (
        field(default=UNSET, name="finally")
    )
    verdict: Planned
    reason: RecordedReason
    fingerprint: Annotated[Digest | None, Meta(description="Hash of all that the result depends on, if known.")]
    inputs: Annotated[
        JsonObject | UnsetType,
        Meta(description="Action, parameters, files, libraries, seed. Of a bound run."),
    ] = UNSET
    options: Annotated[
        JsonObject | UnsetType, Meta(description="Conditions, retries, time limits and the like. Of a bound run.")
    ] = UNSET


class RecordedPlan(Element, frozen=True, kw_only=True):
    """The plan of a run, as `e2i plan --json` prints it. The last four fields are there for a bound run only."""

    schema_version: Version = 1
    digest: Annotated[Digest, Meta(description="Hash of all that can affect execution.")]
    name: Annotated[str, Meta(description="The pipeline's name.")]
    profile: Annotated[str, Meta(description="The profile of the settings.")]
    params: Annotated[ParamValues, Meta(description="The value of every parameter.")]
    steps: Annotated[tuple[PlannedStep, ...], Meta(description="In topological order.")]
    summary: Annotated[dict[str, int], Meta(description="Number of steps with each verdict.")]
    outputs: Annotated[OutputValues | UnsetType, Meta(description="Outputs, as far as they are known.")] = UNSET
    environment: Annotated[JsonObject | UnsetType, Meta(description="Settings that affect a run.")] = UNSET
    undecided: Annotated[
        tuple[JsonObject, ...] | UnsetType, Meta(description="Files and code known only during the run.")
    ] = UNSET
    checksum: Annotated[Digest | UnsetType, Meta(description="Hash of the document without this field.")] = UNSET


class RecordedAttempt(Element, frozen=True, kw_only=True):
    """One attempt of a step."""

    number: Annotated[int, Meta(ge=1, description="From 1.")] = field(name="attempt")
    started_ms: Milliseconds
    ended_ms: Milliseconds
    seconds: Annotated[float, Meta(ge=0, description="Duration of the attempt.")]
    error: ErrorDocument | None


class RecordedStep(Element, frozen=True, kw_only=True):
    """One step of a run."""

    run: Annotated[str, Meta(description="The run's id.")]
    id: Annotated[str, Meta(description="The step's id.")] = field(name="step")
    uses: Annotated[str, Meta(description="The action.")]
    needs: Annotated[tuple[str, ...], Meta(description="The upstream steps.")]
    verdict: Planned
    reason: RecordedReason
    status: StepStatus
    note: Annotated[str, Meta(description="Why the step was skipped.")] = ""
    attempts: Annotated[int, Meta(ge=0, description="Number of attempts.")] = 0
    tries: Annotated[tuple[RecordedAttempt, ...], Meta(description="The finished attempts.")] = ()
    started_ms: Milliseconds | None = None
    ended_ms: Milliseconds | None = None
    fingerprint: Annotated[Digest | None, Meta(description="Hash of all that the result depends on, if known.")] = None
    outputs: Annotated[OutputValues | None, Meta(description="Outputs of a succeeded or reused step.")] = None
    error: ErrorDocument | None = None


class RecordedRun(RunOutcome, frozen=True, kw_only=True):
    """Output of `e2i show RUN --json`: everything recorded of a run."""

    schema_version: Version = 1
    spec: Annotated[str, Meta(description="The text of the spec.")]
    plan: RecordedPlan
    host: Annotated[str, Meta(description="The machine; empty for runs of early versions.")]
    included: Annotated[dict[str, str], Meta(description="The texts of the included specs, by name.")]
    options: RecordedOptions
    provenance: RunOrigin
    steps: Annotated[tuple[RecordedStep, ...], Meta(description="In the order of the plan.")]
    corrupt: Annotated[tuple[str, ...], Meta(description="The rows that were altered since they were written.")] = ()


class KeptResult(Element, frozen=True, kw_only=True):
    """The reusable result of a step, as far as past runs are concerned."""

    run: Annotated[str, Meta(description="The run that produced it.")]
    components: Annotated[Components, Meta(description="The inputs of its fingerprint.")]


class LastFailure(Element, frozen=True, kw_only=True):
    """The latest failed attempt of a step with a tool."""

    run: Annotated[str, Meta(description="The run's id.")]
    step: Annotated[str, Meta(description="The step's id.")]
    uses: Annotated[str, Meta(description="The action.")]
    ended_ms: Milliseconds
    code: Annotated[str, Meta(description="What kind of error: `e2i explain CODE`.")]
    message: Annotated[str, Meta(description="Description for people.")]
    succeeded_since: Annotated[int, Meta(ge=0, description="Number of successful attempts with this tool since.")]
