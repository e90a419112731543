"""Declare ``causal.estimate`` and ``causal.effects``: parameters and outputs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Outputs, Params
from e2i.catalog.artifacts import EffectModel, Report, Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.estimators.algorithms import AlgorithmName
from e2i.tools.causal import learners
from e2i.tools.causal.basics import Estimate, Label, Level
from e2i.tools.causal.learners import EstimatorName

Scalar = bool | int | float | str | None
Estimand = Literal["ATE", "ATT"]
AVERAGE = "doubly_robust"
PARAMETRIC = ("Ridge", "LinearRegression", "LogisticRegression")
"""Algorithms of few coefficients, which may judge the rows that they were fitted to."""
CLIP = 0.01
"""Propensities are kept this far from 0 and 1, because a row weighs as much as their inverse."""


class Nuisance(BaseModel):
    """A model that is only a means: of the outcome, or of the treatment."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    algorithm: Annotated[AlgorithmName, Field(description="The algorithm.")]
    params: Annotated[dict[str, Scalar], Field(default_factory=dict, description="Its hyperparameters.")]


BOOSTED: dict[str, Scalar] = {"n_estimators": 100, "max_depth": 3, "learning_rate": 0.08, "min_child_samples": 20}
"""LightGBM's settings unless a spec has others. Shallow and slow: a nuisance model that fits too closely biases the
effect, even behind cross-fitting.
"""


def model_of(given: Nuisance | None) -> Nuisance:
    """Return the nuisance model that a spec has, or the one for a spec without."""
    return given or Nuisance(algorithm="LightGBM", params=BOOSTED)


def _flexible(*given: Nuisance | None) -> str | None:
    """Return the name of a model that needs cross-fitting, or None."""
    names = [model_of(one).algorithm for one in given]
    return next((name for name in names if name not in PARAMETRIC), None)


class Overlap(BaseModel):
    """Which propensities count as overlap, and what happens to rows outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    low: Annotated[float, Field(gt=0, lt=0.5, description="Lowest propensity with overlap.")] = 0.05
    high: Annotated[float, Field(gt=0.5, lt=1, description="Highest propensity with overlap.")] = 0.95
    outside: Annotated[
        Literal["warn", "trim", "fail"],
        Field(description="Rows outside: keep them and warn, leave them out, or fail the step."),
    ] = "warn"


class EstimateParams(Params):
    """Parameters of ``causal.estimate``."""

    table: Annotated[Table, Field(description="One row for each unit, such as a physician in a quarter.")]
    treatment: Annotated[
        ColumnName, Field(description="What was done: two values, or a number with `continuous: true`.")
    ]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    effect_modifiers: Annotated[
        ColumnNames, Field(description="Columns that the effect may depend on. They are confounders too.")
    ] = ()
    confounders: Annotated[
        ColumnNames,
        Field(
            description="Further columns that both the treatment and the outcome may depend on. None of them may be "
            "changed by the treatment."
        ),
    ] = ()
    graph: Annotated[
        ColumnNames,
        Field(
            description="The causal graph that the question rests on, as lines such as `age -> treatment -> outcome`, "
            "or `a <-> b` for an unmeasured cause of both. Adjusted columns are checked against it; without "
            "`confounders` they are derived from it (back-door criterion)."
        ),
    ] = ()
    instrument: Annotated[
        ColumnName | None,
        Field(
            description="A column that changes the treatment and, given what is adjusted for, the outcome in no other "
            "way. IntentToTreatDRIV needs one of two values, such as an offer."
        ),
    ] = None
    unmeasured: Annotated[
        ColumnNames, Field(description="Names in the graph that are no columns, and cannot be adjusted for.")
    ] = ()
    estimator: Annotated[
        EstimatorName,
        Field(
            description="How the effect depends on the modifiers: linearly, SparseLinearDML on few of many, or in any "
            "way (forests and S-, T-, XLearner, these without intervals by row). OrthoIV, IntentToTreatDRIV: linearly, "
            "by an `instrument`."
        ),
    ] = "LinearDML"
    params: Annotated[
        dict[str, Scalar],
        Field(default_factory=dict, description="Settings of a forest, by EconML's names, such as n_estimators."),
    ]
    estimand: Annotated[
        Estimand,
        Field(description="Whose average effect `effect` is: of all rows (ATE), or of the treated ones (ATT)."),
    ] = "ATE"
    continuous: Annotated[
        bool, Field(description="The treatment is an amount; the effect is that of one unit more.")
    ] = False
    average: Annotated[
        Literal["doubly_robust", "weighting"],
        Field(
            description="doubly_robust: right when the models of outcome or of treatment are. weighting: by the "
            "treatment model alone, as in many published studies."
        ),
    ] = "doubly_robust"
    each_level: Annotated[
        bool,
        Field(
            description="Estimate the average effect of each value of the treatment against `control`, on all rows, in "
            "`levels`. `effect` and `model` are of `treated`."
        ),
    ] = False
    control: Annotated[
        Label | None, Field(description="The value of untreated rows; null: the first in order (false, 0, …).")
    ] = None
    treated: Annotated[
        Label | None,
        Field(
            description="The value of treated rows; null: the last in order. Rows of further values are left out, but "
            "in `levels`."
        ),
    ] = None
    outcome_model: Annotated[
        Nuisance | None, Field(description="Model of the outcome, of numbers. null: LightGBM with shallow trees.")
    ] = None
    treatment_model: Annotated[Nuisance | None, Field(description="Model of the treatment. null: the same.")] = None
    instrument_model: Annotated[
        Nuisance | None, Field(description="Model of the instrument. null: that of the treatment if it suits.")
    ] = None
    folds: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description="Parts for cross-fitting. 1: models learn from all rows, for Ridge, LinearRegression and "
            "LogisticRegression alone.",
        ),
    ] = 5
    group: Annotated[
        ColumnName | None,
        Field(
            description="Column of the entity. Its rows stay in one part, and the intervals allow for their "
            "likeness. null: each row is one entity."
        ),
    ] = None
    decided_at: Annotated[
        ColumnNames,
        Field(
            description="Moments, as in `known_at` of data.load, that have passed when the treatment is decided. A "
            "column that is known only at another moment cannot be a confounder."
        ),
    ] = ()
    overlap: Annotated[Overlap, Field(description="Propensities that count as overlap.")] = Overlap()
    level: Level = 0.95
    keep: Annotated[ColumnNames | None, Field(description="Columns to copy to `effects`; null: all of the table.")] = (
        None
    )
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of parts and models; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _roles(self) -> Self:
        message = learners.misfit(
            self.estimator,
            continuous=self.continuous,
            instrument=self.instrument,
            modifiers=bool(self.effect_modifiers),
            confounders=bool(self.confounders),
        )
        if message is not None:
            raise ValueError(message)
        for what, given in (("estimand ATT", self.estimand == "ATT"), ("average weighting", self.average != AVERAGE)):
            if given and (self.continuous or self.instrument is not None):
                other = "`continuous: true`" if self.continuous else "an `instrument`"
                raise ValueError(f"{what} needs a treatment of two values and what it is adjusted for, not {other}")
        if self.each_level and (self.continuous or self.instrument is not None):
            raise ValueError("`each_level` needs a treatment of several values, without `continuous` or `instrument`")
        if self.folds == 1 and (bad := _flexible(self.outcome_model, self.treatment_model)):
            raise ValueError(
                f"`folds: 1` is for {', '.join(PARAMETRIC)}: {bad} would judge the rows that it has learned by heart"
            )
        if self.continuous and not (self.control is None and self.treated is None):
            raise ValueError("`control` and `treated` are values of a treatment that is not continuous")
        if self.unmeasured and not self.graph:
            raise ValueError("`unmeasured` are names in the `graph`, and there is none")
        if self.params and learners.LEARNERS[self.estimator].form != "forest":
            raise ValueError(f"`params` are settings of a forest; {self.estimator} has none")
        return self


class OverlapFound(BaseModel):
    """How alike treated and untreated rows are."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    lowest: Annotated[float, Field(description="Lowest estimated propensity.")]
    highest: Annotated[float, Field(description="Highest estimated propensity.")]
    outside: Annotated[float, Field(description="Share of rows outside the bounds of `overlap`.")]
    trimmed: Annotated[int, Field(description="Rows left out.")]
    effective_treated: Annotated[float, Field(description="Number of treated rows that weights leave (Kish 1965).")]
    effective_control: Annotated[float, Field(description="Number of untreated rows that weights leave.")]


class EstimateOutputs(Outputs):
    """Outputs of ``causal.estimate``."""

    effect: Annotated[Estimate, Field(description="The average effect of `estimand`.")]
    adjusted_for: Annotated[
        list[str], Field(description="Columns that were adjusted for: given, or derived from the graph.")
    ]
    averages: Annotated[
        dict[str, Estimate],
        Field(
            description="ATE, and ATT for two values; `weighted` is that of `estimand` by propensity weights alone, "
            "`naive` the difference without any adjustment."
        ),
    ]
    levels: Annotated[
        Table,
        Field(
            description="One row per value of the treatment but `control`: `level`, `rows`, `effect`, `effect_low`, "
            "`effect_high`, and `outside`, the share of all rows whose propensity of that value is out of bounds. Of "
            "an amount, or with an instrument: one row, `level` null."
        ),
    ]
    first_stage_f: Annotated[
        float | None, Field(description="Strength of the instrument: F of the first stage; null without one.")
    ]
    overlap: Annotated[
        OverlapFound | None, Field(description="Overlap; null for a continuous treatment, and with an instrument.")
    ]
    balance: Annotated[
        Table,
        Field(
            description="One row per covariate, or category: `covariate`, `difference` and `weighted_difference`, "
            "both in standard deviations (standardised mean differences before and after weighting)."
        ),
    ]
    effects: Annotated[
        Table,
        Field(
            description="The kept columns, and `effect`, `effect_low` and `effect_high` of each row. The bounds are "
            "null where the estimator has no intervals by row."
        ),
    ]
    model: Annotated[EffectModel, Field(description="The model of the effect, for `causal.effects`.")]
    report: Annotated[Report, Field(description="One HTML page: the answer, what it rests on, and its diagnostics.")]


class EffectsParams(Params):
    """Parameters of ``causal.effects``."""

    model: Annotated[EffectModel, Field(description="The effect model.")]
    table: Annotated[Table, Field(description="Rows with the effect modifiers.")]
    level: Level = 0.95
    keep: Annotated[ColumnNames | None, Field(description="Columns to copy; null: all.")] = None


class EffectsOutputs(Outputs):
    """Outputs of ``causal.effects``."""

    effects: Annotated[
        Table, Field(description="The kept columns, and `effect`, `effect_low` and `effect_high` of each row.")
    ]


def settings_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return a forest's settings as EconML takes them, over defaults that suit a first look."""
    return {"n_estimators": 200, "min_samples_leaf": 10, "max_samples": 0.45, **params}
