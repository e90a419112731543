"""What a verification came to, as printed. In: comparisons. Out: ``VerificationDocument``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument

Verified = Literal["equal", "differs", "failed", "replayed", "changed", "lost", "not-executed"]


class Difference(Element, frozen=True, kw_only=True):
    """A difference between the recorded and the repeated result of a step."""

    where: Annotated[str, Meta(description="The output, such as `table`, `metrics.roc_auc`.")]
    what: Annotated[
        Literal["value", "column", "rows", "type", "file"],
        Meta(description="column: values of a column. rows: their number or order. type: of a column."),
    ]
    detail: Annotated[str, Meta(description="Description for people, with the first values.")]


class VerifiedStep(Element, frozen=True, kw_only=True):
    """A step that ran again on the inputs that it had."""

    step: str
    uses: str
    result: Annotated[
        Verified,
        Meta(
            description="failed: it succeeded then and fails now. replayed: never executed, its recorded result was "
            "used. changed: its code, files or libraries are not those of the run. lost: a result is not in the store. "
            "not-executed: it had no result in the run."
        ),
    ]
    detail: Annotated[str, Meta(description="Description for people.")]
    differences: list[Difference]


class VerificationDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i verify RUN --json`."""

    run: str
    pipeline: str
    conditions: Annotated[list[str], Meta(description="What was unlike the run.")]
    times: Annotated[int, Meta(ge=1, description="Number of repetitions.")]
    first: Annotated[str | None, Meta(description="The first step, in the order of the plan, that differs or fails.")]
    verified: Annotated[Count, Meta(description="Number of steps with equal results.")]
    steps: list[VerifiedStep]
    seconds: Annotated[float, Meta(ge=0)]
