"""Declare the actions that judge an effect model on rows that it has not seen: ``causal.validate`` and ``compare``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import EffectModel, Report, Table
from e2i.tools.causal.basics import LIBRARIES, Estimate, Level, Seed

Figure = Literal["autoc", "qini", "slope", "calibration", "score"]
Rank = Literal["autoc", "qini", "score"]
Repeats = Annotated[
    int, Field(ge=20, le=10_000, description="Half-samples of entities from which standard errors are estimated.")
]


class ValidateParams(Params):
    """Parameters of ``causal.validate``."""

    model: Annotated[EffectModel, Field(description="The effect model.")]
    table: Annotated[
        Table,
        Field(
            description="Rows that it was not estimated on, with treatment, outcome and all columns of the question."
        ),
    ]
    groups: Annotated[
        int, Field(ge=2, le=50, description="Groups of rows, by predicted effect, whose average effects are compared.")
    ] = 5
    at_least: Annotated[
        dict[Figure, float],
        Field(
            default_factory=dict,
            description="Smallest figures that count as valid, such as {autoc: 0}. Where a figure has an interval, "
            "its lower bound is compared.",
        ),
    ]
    on_failure: Annotated[
        Literal["fail", "warn"], Field(description="What a figure below `at_least` does to the step.")
    ] = "fail"
    repeats: Repeats = 200
    level: Level = 0.95
    seed: Seed = None


class ValidateOutputs(Outputs):
    """Outputs of ``causal.validate``."""

    valid: Annotated[bool, Field(description="True when no figure is below `at_least`.")]
    average: Annotated[Estimate, Field(description="Average effect on these rows, by their doubly robust scores.")]
    predicted: Annotated[float, Field(description="Average of the model's effects on the same rows.")]
    slope: Annotated[
        Estimate,
        Field(
            description="Slope of the best linear predictor: 1 when differences of effects are as large as predicted, "
            "0 when they are not there (Chernozhukov et al. 2018)."
        ),
    ]
    autoc: Annotated[
        Estimate,
        Field(
            description="Area under the targeting curve: how much more those with the largest predicted effects gain "
            "than all do, averaged over shares (Yadlowsky et al. 2025). 0: the ranking says nothing."
        ),
    ]
    qini: Annotated[Estimate, Field(description="The same, each share weighted by its size.")]
    calibration: Annotated[
        float,
        Field(description="1 when the groups' effects are as predicted, 0 when one effect for all is as good."),
    ]
    score: Annotated[
        float,
        Field(description="Share of the doubly robust scores' variance that the effects explain; 0: as one for all."),
    ]
    groups: Annotated[
        Table,
        Field(
            description="One row per group, smallest predicted effects first: `group`, `rows`, `predicted`, `effect`, "
            "`effect_low`, `effect_high`."
        ),
    ]
    curve: Annotated[
        Table,
        Field(
            description="One row per share of rows, largest predicted effects first: `share`, `advantage` of their "
            "average effect over that of all, `advantage_low`, `advantage_high`, and `gain`, the share times it."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the figures and their pictures.")]


class Estimated(BaseModel):
    """Outputs of a ``causal.estimate`` step."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    model: Annotated[EffectModel, Field(description="The model.")]


class Combination(BaseModel):
    """One combination of a matrix step."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    matrix: Annotated[dict[str, Any], Field(description="The combination's matrix values.")]
    outputs: Annotated[Estimated, Field(description="The combination's outputs.")]


class CompareParams(Params):
    """Parameters of ``causal.compare``."""

    candidates: Annotated[
        list[Combination] | dict[str, Estimated | EffectModel],
        Field(
            min_length=1,
            description="A matrix step of causal.estimate (`${{ steps.effect }}`), or a mapping from a name to an "
            "effect model. All have one treatment and one outcome.",
        ),
    ]
    table: Annotated[Table, Field(description="Rows that none of them was estimated on, with all columns they need.")]
    metric: Annotated[Rank, Field(description="Figure to rank by; see the outputs of causal.validate.")] = "autoc"
    groups: Annotated[int, Field(ge=2, le=50, description="Groups for the calibration.")] = 5
    repeats: Repeats = 200
    level: Level = 0.95
    seed: Seed = None


class CompareOutputs(Outputs):
    """Outputs of ``causal.compare``."""

    best: Annotated[str, Field(description="Name of the best candidate: its matrix values, or its name.")]
    model: Annotated[EffectModel, Field(description="The best candidate.")]
    certain: Annotated[
        bool, Field(description="True when the interval of its advantage over each other one is above 0.")
    ]
    ranking: Annotated[
        Table,
        Field(
            description="One row per candidate, best first: `candidate`, `estimator`, `autoc`, `autoc_low`, "
            "`autoc_high`, `qini`, `slope`, `calibration`, `score`, and `behind`, by how much the best is better by "
            "`metric`, with `behind_low` and `behind_high`."
        ),
    ]


ACTIONS = (
    Action(
        "validate",
        "Tests on other rows whether the effects of a model differ among rows as it says.",
        ValidateParams,
        ValidateOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        gate=True,
    ),
    Action(
        "compare",
        "Ranks effect models on rows that none of them has seen.",
        CompareParams,
        CompareOutputs,
        libraries=LIBRARIES,
        columns=True,
    ),
)
