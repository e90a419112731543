"""Declare ``causal.refute``: the attempts, their thresholds, and what they found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Outputs, Params
from e2i.catalog.artifacts import EffectModel, Table
from e2i.catalog.names import ColumnNames


class Checks(BaseModel):
    """Attempts to refute an estimate, each with the threshold from which it is refuted. null: not tried."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    placebo: Annotated[
        float | None,
        Field(
            gt=0,
            description="The treatment is shuffled, so that its effect is 0. Refuted when the mean estimate is further "
            "from 0 than this many of its standard errors.",
        ),
    ] = 3.0
    random_cause: Annotated[
        float | None,
        Field(
            gt=0,
            description="A random column is adjusted for too. Refuted when the estimate moves by more than this many "
            "standard errors.",
        ),
    ] = 1.0
    subset: Annotated[
        float | None,
        Field(
            gt=0,
            description="Only four fifths of the entities are used. Refuted when the mean estimate is further from the "
            "first than this many standard errors.",
        ),
    ] = 1.0
    bootstrap: Annotated[
        float | None,
        Field(
            gt=1,
            description="Entities are drawn with replacement. Refuted when the standard error of the estimates is more "
            "than this many times the stated one. Give it 50 `repeats` or more.",
        ),
    ] = None
    robustness: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="A confounder that nobody measured. Refuted when one that explains this share of what is left "
            "of both treatment and outcome could reduce the effect to 0 (robustness value, Cinelli and Hazlett 2020).",
        ),
    ] = 0.02


class RefuteParams(Params):
    """Parameters of ``causal.refute``."""

    model: Annotated[EffectModel, Field(description="The effect model, whose question is asked again.")]
    table: Annotated[Table, Field(description="The rows that it was estimated on.")]
    checks: Annotated[Checks, Field(description="The attempts and their thresholds.")] = Checks()
    negative_controls: Annotated[
        ColumnNames,
        Field(
            description="Numbers that the treatment cannot change but the confounders do, such as sales of the year "
            "before. Refuted when the interval of the effect on one does not contain 0."
        ),
    ] = ()
    repeats: Annotated[
        int, Field(ge=2, le=1000, description="Estimates for each of placebo, subset and bootstrap.")
    ] = 5
    on_refuted: Annotated[Literal["fail", "warn"], Field(description="What a refuted estimate does to the step.")] = (
        "fail"
    )
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the attempts; null: the run's seed.")
    ] = None


class RefuteOutputs(Outputs):
    """Outputs of ``causal.refute``."""

    refuted: Annotated[bool, Field(description="True when an attempt has succeeded.")]
    checks: Annotated[
        Table,
        Field(description="One row per attempt: `check`, `value`, `threshold`, `passed` and `meaning`."),
    ]
    robustness_value: Annotated[
        float,
        Field(
            description="Share of the unexplained treatment and outcome that an unmeasured confounder would have to "
            "explain to reduce the effect to 0."
        ),
    ]
    e_value: Annotated[
        float,
        Field(
            description="Risk ratio that such a confounder would need with both (VanderWeele and Ding 2017, for a "
            "difference of means)."
        ),
    ]
