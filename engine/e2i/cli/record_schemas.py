"""The JSON documents about past runs, as types: what `runs`, `show`, `diff` of runs and `provenance` print."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from e2i.cli.document_schemas import Digest, Document, ErrorDocument, ReasonDocument, Version
from e2i.execution.state import Status
from e2i.planning.model import Verdict

RunState = Literal["running", "succeeded", "failed", "interrupted"]
StepState = Annotated[
    Status | Literal["interrupted"], Field(description="interrupted: its process ended before it did.")
]
Milliseconds = Annotated[int, Field(description="Milliseconds since the epoch.")]


class RunHead(Document):
    """What every document says of a run."""

    run: Annotated[str, Field(description="The run's id.")]
    pipeline: Annotated[str, Field(description="The pipeline's name.")]
    status: RunState
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    paused_ms: Annotated[
        int, Field(description="How long, of the time since its start, it was interrupted before it was resumed.")
    ]
    resumed_ms: Annotated[Milliseconds | None, Field(description="When it was resumed last. None: never.")]
    file: Annotated[str, Field(description="The spec's file, as it was given.")]
    profile: Annotated[str, Field(description="The settings that it had.")]


class ListedRun(RunHead):
    """A run in the list."""

    host: Annotated[str, Field(description="The machine; empty for runs of early versions.")]
    steps: Annotated[dict[str, int], Field(description="How many of its steps came to what.")]


class Runs(Document):
    """What `e2i runs --json` prints."""

    schema_version: Version
    runs: Annotated[list[ListedRun], Field(description="The newest first.")]


class Repository(Document):
    """The git repository that the workspace lies in, when the run was started."""

    commit: Annotated[str | None, Field(description="None: there is no commit yet.")] = None
    branch: Annotated[str | None, Field(description="None: the head is detached.")] = None
    remote: Annotated[str | None, Field(description="Of origin, without user and password.")] = None
    path: Annotated[str | None, Field(description="Where the spec lies in the repository.")] = None
    dirty: Annotated[
        bool | None,
        Field(
            description="Whether tracked files differ from the commit. Null: only a filter program that the repository"
            " names could tell, which is not run."
        ),
    ] = False
    changed: Annotated[list[str], Field(description="The first of these files.", default_factory=list)]
    changed_files: Annotated[int, Field(ge=0, description="How many there are.")] = 0
    problem: Annotated[str, Field(description="Why git could not say.")] = ""


class Origin(Document):
    """What a run comes from; empty for runs of early versions."""

    e2i: str = ""
    python: str = ""
    system: str = ""
    host: str = ""
    cores: int = 0
    libraries: Annotated[
        dict[str, str], Field(description="Those that the actions of the plan declare.", default_factory=dict)
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
    verdict: Annotated[Verdict, Field(description="What the plan said.")]
    reason: ReasonDocument
    status: StepState
    note: Annotated[str, Field(description="Why it was left out.")]
    attempts: Annotated[int, Field(ge=0)]
    tries: Annotated[list[Attempt], Field(description="The attempts that are over.")]
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    fingerprint: Digest | None
    outputs: dict[str, Any] | None
    error: ErrorDocument | None


class RunDocument(RunHead):
    """What `e2i show RUN --json` prints."""

    schema_version: Version
    spec: Annotated[str, Field(description="The text of the spec.")]
    params: Annotated[dict[str, Any], Field(description="The value of every parameter.")]
    plan: Annotated[dict[str, Any], Field(description="As `e2i plan --json` prints it.")]
    outputs: Annotated[dict[str, Any] | None, Field(description="The pipeline's outputs, when it is over.")]
    provenance: Origin
    steps: Annotated[list[StepRow], Field(description="In the order of the plan.")]


class PairDocument(Document):
    """Something that differs; None: the run does not have it."""

    name: str
    before: Any
    after: Any


class FigureDocument(Document):
    """A number that a run gave."""

    name: str
    before: float | None
    after: float | None
    change: float | None
    relative: Annotated[float | None, Field(description="The change as a share of what it was.")]
    better: Annotated[bool | None, Field(description="Of a metric that has a good direction.")]


class StepPairDocument(Document):
    """A step in both runs."""

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: Annotated[ReasonDocument | None, Field(description="What first made its result another one.")]
    differs: Annotated[bool, Field(description="Whether it ended otherwise.")]


class ComparedRun(RunHead):
    """One side of a comparison."""

    commit: str | None


class Comparison(Document):
    """What `e2i diff RUN RUN --json` prints."""

    schema_version: Version
    runs: Annotated[list[ComparedRun], Field(min_length=2, max_length=2)]
    same_inputs: Annotated[bool, Field(description="Nothing differs that can change a result.")]
    same_results: bool
    spec: Annotated[dict[str, Any] | None, Field(description="As `e2i diff` of two specs; None: one is not readable.")]
    params: list[PairDocument]
    files: Annotated[list[PairDocument], Field(description="Digests of files of the workspace that were read.")]
    versions: Annotated[list[PairDocument], Field(description="Of e2i, Python, libraries, actions.")]
    environment: Annotated[list[PairDocument], Field(description="Seed, commit, changed files, host, profile.")]
    figures: Annotated[
        list[FigureDocument],
        Field(description="Every number that was given: by the pipeline, then metrics, then the rest."),
    ]
    outputs: list[PairDocument]
    artifacts: Annotated[list[PairDocument], Field(description="Digests of what steps gave.")]
    steps: list[StepPairDocument]


class Gave(Document):
    """What a step gave."""

    step: str
    output: str
    type: Annotated[str, Field(description="The type of an artifact, or `value`.")]
    digest: Digest | None


class ReadFile(Document):
    """A file of the workspace; without a digest when there was none."""

    path: str
    digest: Digest | None


class TracedStep(Document):
    """A step that something came from."""

    step: str
    uses: str
    version: Annotated[int | None, Field(description="The version of the action.")]
    status: StepState
    run: Annotated[str, Field(description="The run that carried it out.")]
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
    """What `e2i provenance TARGET --json` prints."""

    schema_version: Version
    run: str
    step: str
    outputs: list[Gave]
    steps: Annotated[list[TracedStep], Field(description="The first first.")]
    files: Annotated[list[ReadFile], Field(description="All that the chain read from the workspace.")]
    runs: Annotated[
        dict[str, dict[str, Any] | None],
        Field(description="The runs that carried these steps out, with what they come from; None: no longer there."),
    ]
