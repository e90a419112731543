"""Declare designs that need no list of all confounders: ``causal.rdd`` (a cutoff) and ``causal.iv`` (instruments)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Report, Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.tools.causal.basics import LIBRARIES, Estimate, Level

OnFailure = Annotated[
    Literal["fail", "warn"], Field(description="What a check that fails does to the step: fail it, or warn.")
]
Checks = Annotated[
    Table, Field(description="One row per check: `check`, `value`, `threshold`, `passed` and `meaning`.")
]
Group = Annotated[
    ColumnName | None,
    Field(description="Column of the entity, whose rows may be alike; null: each row is one entity."),
]
Page = Annotated[Report, Field(description="One HTML page: the answer, what it rests on, and its pictures.")]


class RddParams(Params):
    """Parameters of ``causal.rdd``."""

    table: Annotated[Table, Field(description="One row per unit.")]
    running: Annotated[ColumnName, Field(description="The number that decides the treatment, such as a score.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    cutoff: Annotated[float, Field(description="Value of `running` from which the treatment changes.")]
    treated: Annotated[
        Literal["above", "below"],
        Field(description="Treated rows: from the cutoff on, or below it."),
    ] = "above"
    treatment: Annotated[
        ColumnName | None,
        Field(
            description="Who was treated in fact (0 and 1, or an amount), where the cutoff changes it for some only. "
            "null: it decides for all."
        ),
    ] = None
    weak: Annotated[
        float,
        Field(
            gt=0,
            description="Fails when the F statistic of the jump of `treatment` is below this.",
        ),
    ] = 10.0
    bandwidth: Annotated[
        float | None,
        Field(
            gt=0,
            description="Distance from the cutoff up to which rows are used; null: the rule of Imbens and "
            "Kalyanaraman 2012.",
        ),
    ] = None
    unchanged: Annotated[
        ColumnNames,
        Field(description="Numbers that the treatment cannot change, such as age. A jump of one at the cutoff fails."),
    ] = ()
    density: Annotated[
        float | None,
        Field(
            gt=0,
            description="Fails when the density of `running` jumps at the cutoff by more than this many standard "
            "errors: units may then have chosen their side (McCrary 2008). null: not checked.",
        ),
    ] = 3.0
    jump: Annotated[
        float, Field(gt=0, description="Fails when a column of `unchanged` jumps by more than this many.")
    ] = 3.0
    on_failure: OnFailure = "fail"
    group: Group = None
    level: Level = 0.95

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if self.treatment is not None and self.treated == "below":
            raise ValueError("`treated` says who is treated where the cutoff decides it; `treatment` has it by row")
        return self


class RddOutputs(Outputs):
    """Outputs of ``causal.rdd``."""

    effect: Annotated[
        Estimate,
        Field(
            description="Effect at the cutoff by local linear regression. Its interval and standard error are robust "
            "to the bias of the bandwidth (Calonico, Cattaneo, Titiunik 2014), so it is not centred at the value. With "
            "`treatment`: of one unit more of it, on those whose treatment the cutoff changes."
        ),
    ]
    first_stage: Annotated[
        Estimate | None, Field(description="Jump of `treatment` at the cutoff; null without that parameter.")
    ]
    first_stage_f: Annotated[float | None, Field(description="F statistic of that jump.")]
    bandwidth: Annotated[float, Field(description="Distance from the cutoff up to which rows were used.")]
    below: Annotated[int, Field(description="Rows used below the cutoff.")]
    above: Annotated[int, Field(description="Rows used above it.")]
    bandwidths: Annotated[
        Table,
        Field(description="The effect by bandwidth: `bandwidth`, `rows`, `effect`, `effect_low`, `effect_high`."),
    ]
    passed: Annotated[bool, Field(description="True when no check failed.")]
    checks: Checks
    report: Page


class IvParams(Params):
    """Parameters of ``causal.iv``."""

    table: Annotated[Table, Field(description="One row per unit.")]
    treatment: Annotated[ColumnName, Field(description="The number that may change the outcome; 0 and 1 for two arms.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    instruments: Annotated[
        tuple[ColumnName, ...],
        Field(
            min_length=1,
            description="Numbers that change the treatment, and the outcome in no other way.",
        ),
    ]
    confounders: Annotated[
        ColumnNames, Field(description="Columns that both the instruments and the outcome may depend on.")
    ] = ()
    graph: Annotated[
        ColumnNames,
        Field(description="As in causal.estimate. An instrument that it does not allow is a problem."),
    ] = ()
    unmeasured: Annotated[ColumnNames, Field(description="Names in the graph that are no columns.")] = ()
    weak: Annotated[
        float,
        Field(
            gt=0,
            description="Fails when F of the first stage is below this (Staiger and Stock 1997).",
        ),
    ] = 10.0
    on_failure: OnFailure = "warn"
    group: Group = None
    level: Level = 0.95

    @model_validator(mode="after")
    def _roles(self) -> Self:
        names = [self.treatment, self.outcome, *self.instruments, *self.confounders]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f'"{twice}" has two roles')
        if self.unmeasured and not self.graph:
            raise ValueError("`unmeasured` are names in the `graph`, and there is none")
        return self


class IvOutputs(Outputs):
    """Outputs of ``causal.iv``."""

    effect: Annotated[
        Estimate,
        Field(description="Effect of one unit more on those whom the instrument moves, by two-stage least squares."),
    ]
    naive: Annotated[Estimate, Field(description="The same by least squares, which takes the treatment for random.")]
    first_stage_f: Annotated[
        float, Field(description="Robust F statistic of the instruments: how strongly they change the treatment.")
    ]
    robust_low: Annotated[
        float | None,
        Field(
            description="Lower bound of the interval that holds with weak instruments too (Anderson and Rubin 1949), "
            "for one instrument. null: there is none."
        ),
    ]
    robust_high: Annotated[float | None, Field(description="Upper bound of that interval.")]
    passed: Annotated[bool, Field(description="True when no check failed.")]
    checks: Checks
    report: Page


ACTIONS = (
    Action(
        "rdd",
        "Estimates an effect at a threshold that decides the treatment (regression discontinuity).",
        RddParams,
        RddOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        version=2,
        gate=True,
        question=True,
    ),
    Action(
        "iv",
        "Estimates an effect by instruments, which change the treatment and nothing else.",
        IvParams,
        IvOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        gate=True,
        question=True,
    ),
)
