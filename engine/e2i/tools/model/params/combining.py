"""Declare the action that combines models: ``model.ensemble``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Table
from e2i.estimators.metrics import MetricChoice
from e2i.tools.model.params.fields import LIBRARIES

Weight = Annotated[float, Field(ge=0)]


class Member(BaseModel):
    """Outputs of a model.cross_validate step, or a model alone. Other outputs are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, protected_namespaces=())

    model: Annotated[Model, Field(description="The model.")]
    oof: Annotated[
        Table | None, Field(description="Its predictions for rows that it was not trained on, of model.cross_validate.")
    ] = None


class MemberCombination(BaseModel):
    """One combination of a matrix step: its matrix values and its outputs."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    matrix: Annotated[dict[str, Any], Field(description="The combination's matrix values.")]
    outputs: Annotated[Member, Field(description="The combination's outputs.")]


class EnsembleParams(Params):
    """Parameters of ``model.ensemble``."""

    models: Annotated[
        list[MemberCombination | Member | Model] | dict[str, Member | Model],
        Field(
            min_length=2,
            max_length=50,
            description="At least two models of one target: steps of model.cross_validate by a name "
            "(`{trees: ${{ steps.trees }}}`), a matrix step of it (`${{ steps.judge }}`), or models, for `mean`.",
        ),
    ]
    method: Annotated[
        Literal["mean", "greedy", "stack"],
        Field(
            description="mean: the mean of the predictions, by `weights`. greedy: weights by ensemble selection, a "
            "model at a time, with repetition. stack: a linear model of the predictions, for classes a logistic "
            "regression. greedy and stack are fitted to out-of-fold predictions, so they need steps of "
            "model.cross_validate on the same folds."
        ),
    ] = "mean"
    weights: Annotated[
        dict[str, Weight] | None,
        Field(min_length=1, description="Of mean: the weight of each model, by its name in `models`. null: all alike."),
    ] = None
    metric: Annotated[
        MetricChoice | None,
        Field(description="Metric that greedy selects by, and that the fallback compares; null: log_loss or rmse."),
    ] = None
    rounds: Annotated[int, Field(ge=1, le=1_000, description="Most selections of greedy.")] = 50
    fallback: Annotated[
        bool,
        Field(
            description="Return the best single model when the ensemble is not better than it, out of fold, by "
            "`metric`. Without out-of-fold predictions nothing is compared."
        ),
    ] = True

    @model_validator(mode="after")
    def _weights_of_a_mean(self) -> Self:
        if self.weights is not None and self.method != "mean":
            raise ValueError("`weights` belong to `method: mean`; greedy and stack find their own")
        if self.weights is not None and not any(self.weights.values()):
            raise ValueError("at least one weight must be above 0")
        return self


class EnsembleOutputs(Outputs):
    """Outputs of ``model.ensemble``."""

    model: Annotated[
        Model, Field(description="The ensemble, a model like any other; or the best single one (`fallback`).")
    ]
    chosen: Annotated[str, Field(description="`ensemble`, or the name of the single model.")]
    conclusion: Annotated[str, Field(description="The comparison out of fold, in one plain sentence.")]
    weights: Annotated[
        dict[str, float],
        Field(
            description="Weight of each model; of stack its coefficient. Of stack with more than two classes: none, "
            "because each class has its own."
        ),
    ]
    metrics: Annotated[
        dict[str, dict[str, float]],
        Field(
            description="Metrics of each model and of `ensemble`, out of fold: what combines the models is fitted to "
            "the other splits. Empty without out-of-fold predictions."
        ),
    ]


ACTIONS = (
    Action(
        "ensemble",
        "Combines several models into one, by their predictions out of fold.",
        EnsembleParams,
        EnsembleOutputs,
        libraries=(*LIBRARIES, "scipy"),
        columns="ensemble_columns",
    ),
)
