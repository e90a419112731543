"""Why a metric changed, as printed. In: shares. Out: ``ExplanationDocument``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument


class ExplainedFactor(Element, frozen=True, kw_only=True):
    """A cause of the change."""

    factor: Annotated[
        Literal["data", "code", "parameters", "seed", "environment"],
        Meta(description="environment: what is left, such as other versions of libraries."),
    ]
    share: Annotated[float, Meta(description="Its share of the change (Shapley value). The shares sum to the change.")]
    part: Annotated[float | None, Meta(description="The share relative to the change; null: there is no change.")]
    changes: Annotated[list[str], Meta(description="What differs between the runs.")]


class ExplanationDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i why RUN_A RUN_B --json`."""

    runs: Annotated[tuple[str, str], Meta(description="The first and the second run.")]
    metric: Annotated[str, Meta(description="An output of the pipeline, or STEP.OUTPUT, with the path of the number.")]
    before: float
    after: float
    change: Annotated[float, Meta(description="The second value minus the first.")]
    factors: Annotated[list[ExplainedFactor], Meta(description="Empty when nothing changed or nothing was run.")]
    reruns: Annotated[Count, Meta(description="Mixes in which steps were executed.")]
    executed: Annotated[Count, Meta(description="Steps that were executed, in all mixes together.")]
    budget: Annotated[Count, Meta(description="Re-runs that were announced before the start.")]
    seconds: Annotated[float, Meta(ge=0)]
