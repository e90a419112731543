"""An estimate of a plan as data: each step with a median and an interval. Serialisable as JSON."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from e2i.documents import Count
from e2i.planning.inputs import Part


class Range(Part, frozen=True, kw_only=True):
    """An estimate with its doubt."""

    median: Annotated[float, Meta(ge=0)]
    low: Annotated[float, Meta(ge=0, description="One of twenty outcomes is below.")]
    high: Annotated[float, Meta(ge=0, description="One of twenty outcomes is above.")]


class StepEstimate(Part, frozen=True, kw_only=True):
    """What a step will take."""

    id: str
    seconds: Annotated[Range | None, Meta(description="null: no history, or it does not run.")]
    memory: Annotated[Range | None, Meta(description="Peak in bytes, beyond what its worker used before.")]
    based_on: Annotated[Count, Meta(description="Number of finished steps that the estimate is made of.")]
    note: Annotated[str, Meta(description="Why there is no estimate, or what it is made of, for people.")]


class PlanEstimate(Part, frozen=True, kw_only=True):
    """What a plan will take."""

    steps: list[StepEstimate]
    seconds: Annotated[Range | None, Meta(description="Until all steps are done; null: nothing is known.")]
    memory: Annotated[Range | None, Meta(description="Highest sum of steps that run beside each other, in bytes.")]
    cost: Annotated[Range | None, Meta(description="By the hourly cost in the settings; null: there is none.")] = None
    unknown: Annotated[list[str], Meta(description="Steps that run and have no history: they count as nothing.")]
