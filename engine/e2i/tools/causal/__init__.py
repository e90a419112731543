"""The causal tool: what a treatment changes, and for whom. In: tables of what happened. Out: effects with intervals.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import EffectModel, Report, Table
from e2i.estimators.algorithms import AlgorithmName
from e2i.tools.causal import choosing, designs, panels, trust
from e2i.tools.causal.basics import LIBRARIES
from e2i.tools.causal.basics import ColumnName as ColumnName
from e2i.tools.causal.basics import Estimate as Estimate
from e2i.tools.causal.basics import Label as Label
from e2i.tools.causal.basics import Level as Level

Scalar = bool | int | float | str | None
Estimand = Literal["ATE", "ATT"]
EstimatorName = Literal["LinearDML", "DRLearner", "CausalForest", "ForestDRLearner"]
FORESTS = ("CausalForest", "ForestDRLearner")
DOUBLY_ROBUST = ("DRLearner", "ForestDRLearner")
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


class Overlap(BaseModel):
    """Which propensities count as overlap, and what happens to rows outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    low: Annotated[float, Field(gt=0, lt=0.5, description="Lowest propensity with overlap.")] = 0.05
    high: Annotated[float, Field(gt=0.5, lt=1, description="Highest propensity with overlap.")] = 0.95
    outside: Annotated[
        Literal["warn", "trim", "fail"],
        Field(
            description="Rows outside: keep them and warn, leave them out (the effect is then that on the others), or "
            "fail the step."
        ),
    ] = "warn"


class EstimateParams(Params):
    """Parameters of ``causal.estimate``."""

    table: Annotated[Table, Field(description="One row for each unit, such as a physician in a quarter.")]
    treatment: Annotated[
        ColumnName, Field(description="What was done: two values, or a number with `continuous: true`.")
    ]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    effect_modifiers: Annotated[
        tuple[ColumnName, ...], Field(description="Columns that the effect may depend on. They are confounders too.")
    ] = ()
    confounders: Annotated[
        tuple[ColumnName, ...],
        Field(
            description="Further columns that both the treatment and the outcome may depend on. None of them may be "
            "changed by the treatment."
        ),
    ] = ()
    graph: Annotated[
        tuple[ColumnName, ...],
        Field(
            description="The causal graph that the question rests on, as lines such as `age -> treatment -> outcome`, "
            "or `a <-> b` for an unmeasured cause of both. Adjusted columns are checked against it; without "
            "`confounders` they are derived from it (back-door criterion)."
        ),
    ] = ()
    unmeasured: Annotated[
        tuple[ColumnName, ...], Field(description="Names in the graph that are no columns, and cannot be adjusted for.")
    ] = ()
    estimator: Annotated[
        EstimatorName,
        Field(
            description="How the effect depends on the modifiers. LinearDML, DRLearner: linearly. CausalForest, "
            "ForestDRLearner: in any way."
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
    control: Annotated[
        Label | None, Field(description="The value of untreated rows; null: the first in order (false, 0, …).")
    ] = None
    treated: Annotated[
        Label | None,
        Field(
            description="The value of treated rows; null: the last in order. With both, rows of further values are "
            "left out."
        ),
    ] = None
    outcome_model: Annotated[
        Nuisance | None, Field(description="Model of the outcome, of numbers. null: LightGBM with shallow trees.")
    ] = None
    treatment_model: Annotated[Nuisance | None, Field(description="Model of the treatment. null: the same.")] = None
    folds: Annotated[
        int, Field(ge=2, le=20, description="Parts for cross-fitting: no row is judged by models that learned it.")
    ] = 5
    group: Annotated[
        ColumnName | None,
        Field(
            description="Column of the entity. Its rows stay in one part, and the intervals allow for their "
            "likeness. null: each row is one entity."
        ),
    ] = None
    decided_at: Annotated[
        tuple[ColumnName, ...],
        Field(
            description="Moments, as in `known_at` of data.load, that have passed when the treatment is decided. A "
            "column that is known only at another moment cannot be a confounder."
        ),
    ] = ()
    overlap: Annotated[Overlap, Field(description="Propensities that count as overlap.")] = Overlap()
    level: Level = 0.95
    keep: Annotated[
        tuple[ColumnName, ...] | None, Field(description="Columns to copy to `effects`; null: all of the table.")
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of parts and models; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _roles(self) -> Self:
        if self.continuous and (self.estimator in DOUBLY_ROBUST or self.estimand == "ATT"):
            what = self.estimator if self.estimator in DOUBLY_ROBUST else "estimand ATT"
            raise ValueError(f"{what} needs a treatment of two values, not `continuous: true`")
        if self.continuous and not (self.control is None and self.treated is None):
            raise ValueError("`control` and `treated` are values of a treatment that is not continuous")
        if self.estimator in FORESTS and not self.effect_modifiers:
            raise ValueError(f"{self.estimator} needs `effect_modifiers`: it estimates how the effect depends on them")
        if self.unmeasured and not self.graph:
            raise ValueError("`unmeasured` are names in the `graph`, and there is none")
        if self.params and self.estimator not in FORESTS:
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
        Field(description="ATE, and ATT for two values; `naive` is the difference without any adjustment."),
    ]
    overlap: Annotated[OverlapFound | None, Field(description="Overlap; null for a continuous treatment.")]
    balance: Annotated[
        Table,
        Field(
            description="One row per covariate, or category: `covariate`, `difference` and `weighted_difference`, "
            "both in standard deviations (standardised mean differences before and after weighting)."
        ),
    ]
    effects: Annotated[
        Table, Field(description="The kept columns, and `effect`, `effect_low` and `effect_high` of each row.")
    ]
    model: Annotated[EffectModel, Field(description="The model of the effect, for `causal.effects`.")]
    report: Annotated[Report, Field(description="One HTML page: the answer, what it rests on, and its diagnostics.")]


class EffectsParams(Params):
    """Parameters of ``causal.effects``."""

    model: Annotated[EffectModel, Field(description="The effect model.")]
    table: Annotated[Table, Field(description="Rows with the effect modifiers.")]
    level: Level = 0.95
    keep: Annotated[tuple[ColumnName, ...] | None, Field(description="Columns to copy; null: all.")] = None


class EffectsOutputs(Outputs):
    """Outputs of ``causal.effects``."""

    effects: Annotated[
        Table, Field(description="The kept columns, and `effect`, `effect_low` and `effect_high` of each row.")
    ]


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
        tuple[ColumnName, ...],
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


def settings_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return a forest's settings as EconML takes them, over defaults that suit a first look."""
    return {"n_estimators": 200, "min_samples_leaf": 10, "max_samples": 0.45, **params}


TOOL = Tool(
    name="causal",
    summary="Estimates what a treatment changes, for all and for each, with intervals and diagnostics.",
    actions=(
        Action(
            "estimate",
            "Estimates the effect of a treatment on an outcome, adjusted for what both depend on.",
            EstimateParams,
            EstimateOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns=True,
        ),
        Action(
            "refute",
            "Tries to refute an estimate, and fails when it can.",
            RefuteParams,
            RefuteOutputs,
            libraries=LIBRARIES,
            columns=True,
            gate=True,
        ),
        Action(
            "effects",
            "Applies an effect model to a table.",
            EffectsParams,
            EffectsOutputs,
            libraries=LIBRARIES,
            columns=True,
        ),
        *trust.ACTIONS,
        *choosing.ACTIONS,
        *designs.ACTIONS,
        *panels.ACTIONS,
    ),
    distribution="econml",
    extra="econml",
    imports=("pandas", "lightgbm", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
