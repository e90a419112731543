"""Declare a search for effects in ``optuna.tune``: the question, and what its best trial is for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.names import ColumnName, ColumnNames
from e2i.tools.causal.basics import Label
from e2i.tools.causal.estimating import Nuisance, Scalar
from e2i.tools.causal.learners import LEARNERS, EstimatorName, misfit

ESTIMATORS = tuple(name for name, learner in LEARNERS.items() if not learner.instrumented)
"""Those whose effects can be judged by R-score or DR-score, which know of no instrument."""
OTHERWISE: Mapping[str, Any] = {
    "prepare": None,
    "features": None,
    "exclude": (),
    "predict_after": (),
    "task": None,
    "positive": None,
    "max_categories": 10_000,
    "weights": None,
    "class_weight": None,
    "target_transform": None,
    "objective": None,
    "quantiles": None,
    "huber_delta": 1.0,
    "tweedie_power": 1.5,
    "monotone": None,
    "device": "cpu",
    "early_stopping": None,
    "metrics": None,
    "choose": None,
}
"""Parameters of predictions, which mean nothing for effects, and their defaults."""


class EffectQuestion(BaseModel):
    """The effect to search an estimator of."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    treatment: Annotated[
        ColumnName, Field(description="What was done: two values, or a number with `continuous: true`.")
    ]
    effect_modifiers: Annotated[
        tuple[ColumnName, ...], Field(min_length=1, description="Columns that the effect may depend on.")
    ]
    confounders: Annotated[
        ColumnNames,
        Field(description="Further columns that both the treatment and the outcome may depend on."),
    ] = ()
    continuous: Annotated[
        bool, Field(description="The treatment is an amount; the effect is that of one unit more.")
    ] = False
    control: Annotated[Label | None, Field(description="The value of untreated rows, as in causal.estimate.")] = None
    treated: Annotated[Label | None, Field(description="The value of treated rows, as in causal.estimate.")] = None
    outcome_model: Annotated[
        Nuisance | None,
        Field(description="Model of the outcome, of numbers, that the search begins from. null: shallow LightGBM."),
    ] = None
    treatment_model: Annotated[Nuisance | None, Field(description="Model of the treatment. null: the same.")] = None
    folds: Annotated[int, Field(ge=2, le=20, description="Parts for cross-fitting.")] = 5
    group: Annotated[
        ColumnName | None,
        Field(
            description="Column of the entity: its rows are in one part, and on one side of `validation` or `folds`. "
            "null: each row is one entity."
        ),
    ] = None
    decided_at: Annotated[
        ColumnNames,
        Field(description="Moments that have passed when the treatment is decided, as in causal.estimate."),
    ] = ()


class BestEstimate(BaseModel):
    """The best trial as ``causal.estimate`` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    estimator: Annotated[EstimatorName, Field(description="The estimator.")]
    params: Annotated[dict[str, Scalar], Field(description="Settings of a forest, for `params`; otherwise none.")]
    outcome_model: Annotated[Nuisance, Field(description="Model of the outcome, with what was chosen.")]
    treatment_model: Annotated[Nuisance, Field(description="Model of the treatment, with what was chosen.")]


def fault(given: Mapping[str, Any]) -> str | None:
    """Return why parameters do not go together in a search for effects, or for predictions; None when they do."""
    algorithm, question = given["algorithm"], given["effect"]
    is_effect = algorithm in ESTIMATORS
    if question is None:
        if is_effect:
            return f"`algorithm`: {algorithm} estimates an effect; ask for one by a mapping `effect` with its treatment"
        metric = given["metric"]
        return (
            f"`metric`: {metric} judges effects, and there is no `effect`"
            if metric in ("r_score", "dr_score")
            else None
        )
    if not is_effect:
        able = ", ".join(ESTIMATORS)
        return f"`algorithm`: {algorithm} does not estimate effects, as `effect` asks; those that do: {able}"
    idle = [name for name, default in OTHERWISE.items() if given[name] != default]
    if idle:
        return f"`{idle[0]}` is for predictions, and this search is for effects: remove it"
    if given["metric"] not in (None, "r_score", "dr_score"):
        return f"`metric`: {given['metric']} judges predictions; effects have r_score and dr_score"
    if given["direction"] == "minimize":
        return "`direction`: r_score and dr_score are better when they are higher; remove it"
    if question["continuous"] and given["metric"] == "dr_score":
        return "`metric`: dr_score needs a treatment of two values; for an amount use r_score"
    if question["continuous"] and not (question["control"] is None and question["treated"] is None):
        return "`effect`: control and treated are values of a treatment that is not continuous"
    return misfit(
        algorithm,
        continuous=question["continuous"],
        instrument=None,
        modifiers=True,
        confounders=bool(question["confounders"]),
    )
