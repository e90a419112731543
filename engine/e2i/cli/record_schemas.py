"""Types of the JSON documents about past runs: `runs`, `show`, `diff` of runs, `provenance`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from e2i.cli.document_schemas import Digest, Document, ErrorDocument, ReasonDocument, Version
from e2i.execution.state import Status
from e2i.planning.model import Verdict

RunState = Literal["running", "succeeded", "failed", "interrupted"]
StepState = Annotated[
    Status | Literal["interrupted"], Field(description="interrupted: its process ended during the step.")
]
Milliseconds = Annotated[int, Field(description="Milliseconds since the epoch.")]


class RunHead(Document):
    """The fields that every document has for a run."""

    run: Annotated[str, Field(description="The run's id.")]
    pipeline: Annotated[str, Field(description="The pipeline's name.")]
    status: RunState
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    paused_ms: Annotated[int, Field(description="Time since the start during which the run was interrupted.")]
    resumed_ms: Annotated[Milliseconds | None, Field(description="When the run was last resumed. None: never.")]
    file: Annotated[str, Field(description="Path of the spec, as the user typed it.")]
    profile: Annotated[str, Field(description="The profile of the run's settings.")]


class ListedRun(RunHead):
    """A run in the list."""

    host: Annotated[str, Field(description="The machine; empty for runs of early versions.")]
    steps: Annotated[dict[str, int], Field(description="Number of steps in each status.")]


class Runs(Document):
    """Output of `e2i runs --json`."""

    schema_version: Version
    runs: Annotated[list[ListedRun], Field(description="Newest first.")]


class Repository(Document):
    """The git repository of the workspace when the run started."""

    commit: Annotated[str | None, Field(description="None: there is no commit yet.")] = None
    branch: Annotated[str | None, Field(description="None: the head is detached.")] = None
    remote: Annotated[str | None, Field(description="Of origin, without user and password.")] = None
    path: Annotated[str | None, Field(description="Path of the spec in the repository.")] = None
    dirty: Annotated[
        bool | None,
        Field(
            description="Whether tracked files differ from the commit. Null: unknown without running a filter program"
            " that the repository configures, which is never run."
        ),
    ] = False
    changed: Annotated[list[str], Field(description="The first changed files.", default_factory=list)]
    changed_files: Annotated[int, Field(ge=0, description="Number of changed files.")] = 0
    problem: Annotated[str, Field(description="Why git could not report it.")] = ""


class Origin(Document):
    """Origin of a run; empty for runs of early versions."""

    e2i: str = ""
    python: str = ""
    system: str = ""
    host: str = ""
    cores: int = 0
    libraries: Annotated[
        dict[str, str], Field(description="Libraries that the actions of the plan declare.", default_factory=dict)
    ]
    seed: int = 0
    spec: Annotated[Digest | None, Field(description="Of the spec's text.")] = None
    git: Annotated[Repository | None, Field(description="None: no repository, or no git.")] = None


class Attempt(Document):
    """One attempt of a step."""

    attempt: Annotated[int, Field(ge=1)]
    started_ms: Milliseconds
    ended_ms: Milliseconds
    seconds: Annotated[float, Field(ge=0)]
    error: ErrorDocument | None


class StepRow(Document):
    """One step of a run."""

    step: str
    uses: str
    needs: list[str]
    verdict: Annotated[Verdict, Field(description="The verdict of the plan.")]
    reason: ReasonDocument
    status: StepState
    note: Annotated[str, Field(description="Why the step was skipped.")]
    attempts: Annotated[int, Field(ge=0)]
    tries: Annotated[list[Attempt], Field(description="The finished attempts.")]
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    fingerprint: Digest | None
    outputs: dict[str, Any] | None
    error: ErrorDocument | None


class RunDocument(RunHead):
    """Output of `e2i show RUN --json`."""

    schema_version: Version
    spec: Annotated[str, Field(description="The text of the spec.")]
    params: Annotated[dict[str, Any], Field(description="The value of every parameter.")]
    plan: Annotated[dict[str, Any], Field(description="As `e2i plan --json` prints it.")]
    outputs: Annotated[dict[str, Any] | None, Field(description="The pipeline's outputs, once the run has ended.")]
    provenance: Origin
    steps: Annotated[list[StepRow], Field(description="In the order of the plan.")]


class PairDocument(Document):
    """A value that differs. None: the run does not have it."""

    name: str
    before: Any
    after: Any


class FigureDocument(Document):
    """A number among a run's results."""

    name: str
    before: float | None
    after: float | None
    change: float | None
    relative: Annotated[float | None, Field(description="The change relative to the value before.")]
    better: Annotated[bool | None, Field(description="Whether the metric improved; None: direction unknown.")]


class StepPairDocument(Document):
    """A step in both runs."""

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: Annotated[ReasonDocument | None, Field(description="The first cause of a different result.")]
    differs: Annotated[bool, Field(description="Whether status or outputs differ.")]


class ComparedRun(RunHead):
    """One side of a comparison."""

    commit: str | None


class Comparison(Document):
    """Output of `e2i diff RUN RUN --json`."""

    schema_version: Version
    runs: Annotated[list[ComparedRun], Field(min_length=2, max_length=2)]
    same_inputs: Annotated[bool, Field(description="True when no difference can change a result.")]
    same_results: bool
    spec: Annotated[dict[str, Any] | None, Field(description="As `e2i diff` of two specs; None: unreadable.")]
    params: list[PairDocument]
    files: Annotated[list[PairDocument], Field(description="Digests of files of the workspace that were read.")]
    versions: Annotated[list[PairDocument], Field(description="Of e2i, Python, libraries, actions.")]
    environment: Annotated[list[PairDocument], Field(description="Seed, commit, changed files, host, profile.")]
    figures: Annotated[
        list[FigureDocument],
        Field(description="Every number: the pipeline's outputs, then metrics, then the rest."),
    ]
    outputs: list[PairDocument]
    artifacts: Annotated[list[PairDocument], Field(description="Digests of the steps' outputs.")]
    steps: list[StepPairDocument]


class Gave(Document):
    """An output of a step."""

    step: str
    output: str
    type: Annotated[str, Field(description="The type of an artifact, or `value`.")]
    digest: Digest | None


class ReadFile(Document):
    """A file of the workspace; without a digest when it did not exist."""

    path: str
    digest: Digest | None


class TracedStep(Document):
    """A step in the history of a result."""

    step: str
    uses: str
    version: Annotated[int | None, Field(description="The version of the action.")]
    status: StepState
    run: Annotated[str, Field(description="The run that executed the step.")]
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    fingerprint: Digest | None
    parameters: Annotated[dict[str, Any], Field(description="Resolved; an artifact is {$artifact: DIGEST}.")]
    libraries: dict[str, str | None]
    python: str | None
    seed: int | None
    files: list[ReadFile]
    reads: list[Gave]
    gave: list[Gave]


class ProvenanceDocument(Document):
    """Output of `e2i provenance TARGET --json`."""

    schema_version: Version
    run: str
    step: str
    outputs: list[Gave]
    steps: Annotated[list[TracedStep], Field(description="In order of execution.")]
    files: Annotated[list[ReadFile], Field(description="All files of the workspace that the steps read.")]
    runs: Annotated[
        dict[str, dict[str, Any] | None],
        Field(description="The runs that executed these steps, with their origin. None: no longer in the store."),
    ]
