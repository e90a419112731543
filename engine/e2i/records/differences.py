"""The differences of two runs: the structs of `e2i diff RUN RUN --json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from e2i.documents import Element, JsonDocument, plain
from e2i.store.past import Planned, RecordedReason, RunHead, StepStatus


class ComparedRun(RunHead, frozen=True, kw_only=True):
    """One side of a comparison."""

    commit: Annotated[str | None, Meta(description="The commit of the workspace, if known.")]


class SpecChange(Element, frozen=True, kw_only=True):
    """A difference of two specs."""

    weight: Literal["cosmetic", "adds", "changes", "breaks"]
    what: Annotated[str, Meta(description="Its subject, such as `step tune`.")]
    detail: Annotated[str, Meta(description="Description for people.")]


class SpecChanges(JsonDocument, frozen=True, kw_only=True):
    """The differences of two specs, as `e2i diff` prints them."""

    meaning: Annotated[
        Literal["cosmetic", "adds", "changes", "breaks"], Meta(description="The weight of the weightiest difference.")
    ]
    differences: Annotated[tuple[SpecChange, ...], Meta(description="The weightiest first.")]


class Pair(Element, frozen=True, kw_only=True):
    """A value that differs. None: the run does not have it."""

    name: str
    before: Any
    after: Any


class Figure(Element, frozen=True, kw_only=True):
    """A number among a run's results."""

    name: str
    before: float | None
    after: float | None
    change: float | None
    relative: Annotated[float | None, Meta(description="The change relative to the value before.")]
    better: Annotated[bool | None, Meta(description="Whether the metric improved; None: direction unknown, or equal.")]


class ComparedStep(Element, frozen=True, kw_only=True):
    """A step in one of the runs."""

    uses: Annotated[str, Meta(description="The action.")]
    verdict: Planned
    reason: Annotated[str, Meta(description="The reason of the verdict, for people.")]
    status: StepStatus
    seconds: Annotated[float | None, Meta(description="From the start of the first attempt to the end.")]
    attempts: Annotated[int, Meta(ge=0)]
    error: Annotated[str | None, Meta(description="The message of its error.")]


class StepPair(Element, frozen=True, kw_only=True):
    """A step in both runs. None: the run has no such step."""

    id: str
    before: ComparedStep | None
    after: ComparedStep | None
    reason: Annotated[RecordedReason | None, Meta(description="The first cause of a different result.")]
    differs: Annotated[bool, Meta(description="Whether action, status or error differ. Durations are ignored.")]


class RunDiff(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i diff RUN RUN --json`."""

    runs: tuple[ComparedRun, ComparedRun]
    same_text: Annotated[bool, Meta(description="Whether the specs have the same text.")]
    same_inputs: Annotated[bool, Meta(description="True when no difference can change a result.")]
    same_results: Annotated[bool, Meta(description="True when all figures, outputs and artifacts are equal.")]
    spec: Annotated[SpecChanges | None, Meta(description="As `e2i diff` of two specs; None: unreadable.")]
    params: tuple[Pair, ...]
    files: Annotated[tuple[Pair, ...], Meta(description="Digests of files of the workspace that were read.")]
    versions: Annotated[tuple[Pair, ...], Meta(description="Of e2i, Python, libraries, actions.")]
    environment: Annotated[tuple[Pair, ...], Meta(description="Seed, commit, changed files, host, profile.")]
    figures: Annotated[
        tuple[Figure, ...], Meta(description="Every number: the pipeline's outputs, then metrics, then the rest.")
    ]
    outputs: Annotated[tuple[Pair, ...], Meta(description="Other outputs of the pipeline.")]
    artifacts: Annotated[tuple[Pair, ...], Meta(description="Digests of the steps' outputs.")]
    steps: tuple[StepPair, ...]

    def to_json(self) -> Any:
        """Returns the document as plain data."""
        return plain(self)
