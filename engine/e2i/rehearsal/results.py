"""The result of a rehearsal, as printed. In: what its run came to. Out: ``RehearsalDocument``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument
from e2i.execution.record import RunStatus, StepEnd
from e2i.spec.problems import ProblemDocument


class SampledTable(Element, frozen=True, kw_only=True):
    """A table that a source returned, and what the rehearsal took of it."""

    step: Annotated[str, Meta(description="The source: a step without tables as input.")]
    output: str
    rows: Annotated[Count, Meta(description="Rows that were taken.")]
    of: Annotated[Count | None, Meta(description="Rows that the source returned; null: it was not executed.")]
    how: Annotated[str, Meta(description="How the rows were chosen, for people.")]


Kind = Literal["skipped", "not-executed", "held-back", "stand-in", "cut", "branch"]


class NotExercised(Element, frozen=True, kw_only=True):
    """Something that a run does, or may do, and that the rehearsal did not."""

    kind: Annotated[
        Kind,
        Meta(
            description="skipped: by `when` or an upstream step. not-executed: it cannot take zero rows. held-back: an "
            "effect. stand-in: another server or file. cut: fewer trials. branch: of `on_error` or `on_unavailable`."
        ),
    ]
    step: Annotated[str, Meta(description="The step; empty: it belongs to the whole run.")]
    detail: Annotated[str, Meta(description="Description for people.")]


class RehearsalDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i rehearse --json`."""

    name: Annotated[str, Meta(description="The pipeline's name.")]
    status: Annotated[RunStatus, Meta(description="failed: there are failures.")]
    seconds: Annotated[float, Meta(ge=0)]
    empty: Annotated[bool, Meta(description="True with `--empty`: tables had no rows.")]
    sample: list[SampledTable]
    steps: Annotated[dict[str, StepEnd], Meta(description="The result of each step.")]
    failures: Annotated[
        list[ProblemDocument], Meta(description="Failed steps, and with `--empty` wrong columns, with their location.")
    ]
    not_exercised: list[NotExercised]
