"""What a change breaks, as printed. In: findings. Out: ``ImpactDocument``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument
from e2i.spec.problems import ProblemDocument

Effect = Literal["breaks", "retyped", "blocked"]


class ColumnChange(Element, frozen=True, kw_only=True):
    """A column that differs, where it enters the spec."""

    step: str
    output: Annotated[str, Meta(description="The output that is the table.")]
    column: str
    before: Annotated[str | None, Meta(description="Its type at BASE; `any`: not known; null: it was not there.")]
    after: Annotated[str | None, Meta(description="Its type at HEAD; null: it is not there.")]


class StepImpact(Element, frozen=True, kw_only=True):
    """A step that the change affects."""

    step: str
    effect: Annotated[
        Effect,
        Meta(
            description="breaks: it is invalid at HEAD and was valid. retyped: it names a column whose type differs. "
            "blocked: a step that it depends on breaks."
        ),
    ]
    detail: Annotated[str, Meta(description="Description for people.")]
    problem: Annotated[ProblemDocument | None, Meta(description="The new problem of a step that breaks.")]


class CaseImpact(Element, frozen=True, kw_only=True):
    """A test case that the change affects."""

    file: Annotated[str, Meta(description="The test file.")]
    case: Annotated[str, Meta(description="Its name; empty: all cases, since the file is invalid.")]
    effect: Annotated[
        Literal["breaks", "retyped"],
        Meta(description="breaks: it fails for certain. retyped: it runs a step that names a retyped column."),
    ]
    detail: Annotated[str, Meta(description="Description for people.")]


class SpecImpact(Element, frozen=True, kw_only=True):
    """What the change does to one spec."""

    spec: str
    columns: list[ColumnChange]
    steps: list[StepImpact]
    cases: list[CaseImpact]


class ImpactDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i impact BASE..HEAD --json`."""

    base: str
    head: str
    compared: Annotated[int, Meta(ge=0, description="Number of specs that are in both revisions.")]
    breaks: Annotated[Count, Meta(description="Number of steps and test cases that break.")]
    specs: Annotated[list[SpecImpact], Meta(description="The specs that are affected.")]
