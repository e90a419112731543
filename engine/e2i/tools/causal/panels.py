"""Declare ``causal.did`` (units that are treated later or never), ``causal.experiment`` and ``causal.power``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.tools.causal.basics import LIBRARIES, Estimate, Label, Level
from e2i.tools.causal.designs import Checks, OnFailure, Page


class DidParams(Params):
    """Parameters of ``causal.did``."""

    table: Annotated[Table, Field(description="One row per unit and period.")]
    unit: Annotated[ColumnName, Field(description="Column of the unit, such as a region or a physician.")]
    time: Annotated[ColumnName, Field(description="Column of the period: a number, a date, or text in its order.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    treatment: Annotated[
        ColumnName,
        Field(description="1 in the rows of treated units from their first treated period on, otherwise 0."),
    ]
    controls: Annotated[
        Literal["not_yet", "never"],
        Field(description="Units to compare with: all that are not treated yet, or only those that never are."),
    ] = "not_yet"
    pre_trend: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Fails when effects before the treatment are this improbable (p-value): the units then did not "
            "move in parallel. null: not checked.",
        ),
    ] = 0.01
    on_failure: OnFailure = "fail"
    group: Annotated[
        ColumnName | None,
        Field(description="Column of units that may be alike, such as a country; null: each unit is one."),
    ] = None
    level: Level = 0.95


class DidOutputs(Outputs):
    """Outputs of ``causal.did``."""

    effect: Annotated[
        Estimate,
        Field(
            description="Average effect on treated units over those of their treated periods that can be compared "
            "(Callaway, Sant'Anna). A warning names the others."
        ),
    ]
    two_way: Annotated[
        Estimate,
        Field(
            description="Regression with effects of units and periods: for comparison. With several groups whose "
            "effects change over time it is no average of effects (Goodman-Bacon 2021)."
        ),
    ]
    events: Annotated[
        Table,
        Field(
            description="The effect by periods since the treatment (event study): `event`, `effect`, `effect_low`, "
            "`effect_high`. Below -1: before the treatment."
        ),
    ]
    groups: Annotated[
        Table,
        Field(
            description="The effect by group of units that is treated from the same period: `first_period`, `units`, "
            "`effect`, `effect_low`, `effect_high`."
        ),
    ]
    units: Annotated[int, Field(description="Units that were compared.")]
    passed: Annotated[bool, Field(description="True when no check failed.")]
    checks: Checks
    report: Page


Covariates = Annotated[
    ColumnNames,
    Field(
        description="Columns that were known before the assignment, such as the outcome of the month before. What they "
        "explain of the outcome is taken out (CUPED), which narrows the interval."
    ),
]
CheckedCovariates = Annotated[
    ColumnNames,
    Field(
        description="Columns that were known before the assignment, such as the outcome of the month before. What they "
        "explain of the outcome is taken out (CUPED), which narrows the interval. Fails when the arms differ in one "
        "(p < 0.001, Bonferroni): the treatment changed it, or the assignment was not at random."
    ),
]
Entity = Annotated[
    ColumnName | None,
    Field(description="Column of the entity that was assigned to an arm, when it has several rows; null: each row."),
]
Share = Annotated[float, Field(gt=0, lt=1, description="Share of entities that are assigned to the treatment.")]


class ExperimentParams(Params):
    """Parameters of ``causal.experiment``."""

    table: Annotated[Table, Field(description="One row per unit, or several per entity.")]
    treatment: Annotated[ColumnName, Field(description="Column of the arm, assigned at random.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    control: Annotated[Label | None, Field(description="Value of the untreated arm; null: the first in order.")] = None
    treated: Annotated[Label | None, Field(description="Value of the treated arm; null: the last in order.")] = None
    covariates: CheckedCovariates = ()
    share: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Planned share of treated entities. Fails when the found one is too improbable (p < 0.001): "
            "the assignment, or the data, is then wrong. null: not checked.",
        ),
    ] = 0.5
    looks: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="Looks at the experiment while it ran, after equal numbers of rows in the order of `time`, "
            "with intervals that hold at every one of them. null: it was analysed once, at its planned end.",
        ),
    ] = None
    time: Annotated[ColumnName | None, Field(description="Column that orders the rows for `looks`.")] = None
    planned: Annotated[
        int | None,
        Field(ge=10, description="Planned entities, at which the looks' intervals are tightest; null: those found."),
    ] = None
    on_failure: OnFailure = "fail"
    group: Entity = None
    level: Level = 0.95

    @model_validator(mode="after")
    def _order(self) -> Self:
        if (self.looks is None) != (self.time is None):
            raise ValueError("`looks` and `time` go together: looks need the order of the rows")
        return self


class ExperimentOutputs(Outputs):
    """Outputs of ``causal.experiment``."""

    effect: Annotated[
        Estimate,
        Field(
            description="Difference of the arms, adjusted for the covariates. With `looks`, its interval is the last "
            "look's, which may be acted on at any time."
        ),
    ]
    difference: Annotated[Estimate, Field(description="Difference of the arms' means, for one look at the end.")]
    adjusted: Annotated[Estimate, Field(description="The same, adjusted for the covariates (CUPED).")]
    variance_kept: Annotated[float, Field(description="Variance after adjusting, as a share of that before.")]
    entities: Annotated[int, Field(description="Entities in both arms.")]
    decided_at: Annotated[
        int | None,
        Field(description="Entities at the first look whose interval leaves 0 out; null: none, or no looks."),
    ]
    looks: Annotated[
        Table,
        Field(description="One row per look: `look`, `entities`, `effect`, `effect_low`, `effect_high`, `decided`."),
    ]
    passed: Annotated[bool, Field(description="True when no check failed.")]
    checks: Checks
    report: Page


class PowerParams(Params):
    """Parameters of ``causal.power``."""

    table: Annotated[Table, Field(description="Rows from before the experiment, like those that it will have.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    smallest_effect: Annotated[
        float, Field(gt=0, description="Smallest effect that would matter, in units of the outcome.")
    ]
    covariates: Covariates = ()
    share: Share = 0.5
    power: Annotated[float, Field(gt=0.5, lt=1, description="Probability to find an effect of that size.")] = 0.8
    group: Entity = None
    level: Level = 0.95


class PowerOutputs(Outputs):
    """Outputs of ``causal.power``."""

    entities: Annotated[int, Field(description="Entities that both arms need together, without covariates.")]
    entities_adjusted: Annotated[int, Field(description="The same with the covariates.")]
    smallest_found: Annotated[
        float,
        Field(description="Smallest effect that as many entities as `table` has would find, with the covariates."),
    ]
    sizes: Annotated[
        Table,
        Field(description="Smallest effects that are found, by size: `entities`, `effect`, `effect_adjusted`."),
    ]


ACTIONS = (
    Action(
        "did",
        "Estimates an effect by comparing changes of treated units with those not treated yet.",
        DidParams,
        DidOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        gate=True,
        question=True,
    ),
    Action(
        "experiment",
        "Compares the arms of an experiment, also while it runs.",
        ExperimentParams,
        ExperimentOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        gate=True,
        question=True,
    ),
    Action(
        "power",
        "Says how many entities an experiment needs to find an effect.",
        PowerParams,
        PowerOutputs,
        libraries=LIBRARIES,
        columns=True,
    ),
)
