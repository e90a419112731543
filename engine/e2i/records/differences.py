"""The differences of two runs: the structs of `e2i diff RUN RUN --json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from e2i.documents import Element, JsonDocument
from e2i.store.past import Planned, RecordedReason, RunHead, StepStatus

Weight = Annotated[
    Literal["cosmetic", "adds", "changes", "breaks"],
    Meta(description="cosmetic: cannot affect execution. breaks: callers must change too."),
]


class ComparedRun(RunHead, frozen=True, kw_only=True):
    """One side of a comparison."""

    commit: Annotated[str | None, Meta(description="The commit of the workspace, if known.")]


class SpecChange(Element, frozen=True, kw_only=True):
    """A difference of two specs."""

    weight: Weight
    what: Annotated[str, Meta(description="Its subject, such as `step tune`.")]
    detail: Annotated[str, Meta(description="Description for people.")]


class SpecChanges(JsonDocument, frozen=True, kw_only=True):
    """The differences of two specs, as `e2i diff` prints them."""

    meaning: Weight
    differences: Annotated[tuple[SpecChange, ...], Meta(description="The weightiest first.")]


class Pair(Element, frozen=True, kw_only=True):
    """A value that differs. None: the run does not have it."""

    name: Annotated[str, Meta(description="The name of the value.")]
    before: Annotated[Any, Meta(description="The value in the first run.")]
    after: Annotated[Any, Meta(description="The value in the second run.")]


class Figure(Element, frozen=True, kw_only=True):
    """A number among a run's results."""

    name: Annotated[str, Meta(description="Path of the number: an output of the pipeline, or STEP.OUTPUT.")]
    before: Annotated[float | None, Meta(description="The number in the first run.")]
    after: Annotated[float | None, Meta(description="The number in the second run.")]
    change: Annotated[float | None, Meta(description="The second number minus the first.")]
    relative: Annotated[float | None, Meta(description="The change relative to the value before.")]
    better: Annotated[bool | None, Meta(description="Whether the metric improved; None: direction unknown, or equal.")]


class ComparedStep(Element, frozen=True, kw_only=True):
    """A step in one of the runs."""

    uses: Annotated[str, Meta(description="The action.")]
    verdict: Planned
    reason: Annotated[str, Meta(description="The reason of the verdict, for people.")]
    status: StepStatus
    seconds: Annotated[float | None, Meta(description="From the start of the first attempt to the end.")]
    attempts: Annotated[int, Meta(ge=0, description="Number of attempts.")]
    error: Annotated[str | None, Meta(description="The message of its error.")]


class StepPair(Element, frozen=True, kw_only=True):
    """A step in both runs. None: the run has no such step."""

    id: Annotated[str, Meta(description="The step's id.")]
    before: Annotated[ComparedStep | None, Meta(description="The step in the first run.")]
    after: Annotated[ComparedStep | None, Meta(description="The step in the second run.")]
    reason: Annotated[RecordedReason | None, Meta(description="The first cause of a different result.")]
    differs: Annotated[bool, Meta(description="Whether action, status or error differ. Durations are ignored.")]


class RunDiff(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i diff RUN RUN --json`."""

    runs: Annotated[tuple[ComparedRun, ComparedRun], Meta(description="The first and the second run.")]
    same_text: Annotated[bool, Meta(description="Whether the specs have the same text.")]
    same_inputs: Annotated[bool, Meta(description="True when no difference can change a result.")]
    same_results: Annotated[bool, Meta(description="True when all figures, outputs and artifacts are equal.")]
    spec: Annotated[SpecChanges | None, Meta(description="As `e2i diff` of two specs; None: unreadable.")]
    params: Annotated[tuple[Pair, ...], Meta(description="Parameters of the pipeline.")]
    files: Annotated[tuple[Pair, ...], Meta(description="Digests of files of the workspace that were read.")]
    versions: Annotated[tuple[Pair, ...], Meta(description="Of e2i, Python, libraries, actions.")]
    environment: Annotated[tuple[Pair, ...], Meta(description="Seed, commit, changed files, host, profile.")]
    figures: Annotated[
        tuple[Figure, ...], Meta(description="Every number: the pipeline's outputs, then metrics, then the rest.")
    ]
    outputs: Annotated[tuple[Pair, ...], Meta(description="Other outputs of the pipeline.")]
    artifacts: Annotated[tuple[Pair, ...], Meta(description="Digests of the steps' outputs.")]
    steps: Annotated[tuple[StepPair, ...], Meta(description="Every step of either run, in the order of the plans.")]
