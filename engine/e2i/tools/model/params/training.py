"""Declare the actions that fit models: ``model.train`` and ``model.cross_validate``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Folds, Model, Recipe, Table
from e2i.catalog.marks import Budget
from e2i.estimators.metrics import MetricChoice
from e2i.estimators.options import EarlyStop, FitOptions, RankedFitOptions, StopInFolds
from e2i.estimators.space import Dimension
from e2i.tools.model.params.fields import (
    LIBRARIES,
    Algorithm,
    Exclude,
    Features,
    Label,
    Moments,
    Prepare,
    Scalar,
    Target,
    TaskName,
)

Parameter = Annotated[str, Field(min_length=1, max_length=100)]
Beside = Annotated[bool, Field(description="Return the metrics of the best constant answer beside those of the model.")]


class TrainRows(Params):
    """The rows, the target and the algorithm of ``model.train``."""

    table: Annotated[Table, Field(description="The training table.")]
    validation: Annotated[
        Table | None, Field(description="Rows that are not trained on. Used for metrics and `early_stopping`.")
    ] = None
    target: Target
    algorithm: Algorithm = "XGBoost"
    params: Annotated[
        dict[str, Scalar],
        Field(
            default_factory=dict, description="Hyperparameters, by their names in the library's scikit-learn interface."
        ),
    ]
    prepare: Prepare = None
    features: Features = None
    exclude: Exclude = ()
    predict_after: Moments = ()
    task: TaskName = None
    positive: Annotated[
        Label | None,
        Field(description="The positive class, of two: probabilities are of it. null: the last in order."),
    ] = None
    max_categories: Annotated[
        int,
        Field(
            ge=2,
            le=1_000_000,
            description="Categories kept for one text feature, the most frequent first; the others count as missing, "
            "with a warning. A linear model keeps as many as fit into 1 GiB.",
        ),
    ] = 10_000


class FittedParams(FitOptions, TrainRows):
    """Parameters of a fit to one table: the rows come first, then the options, then these."""

    early_stopping: Annotated[
        EarlyStop | None, Field(description="Early stopping of a boosted model; needs `validation`. null: none.")
    ] = None
    baseline: Beside = True
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the fit; null: the run's seed.")] = None


class TrainParams(RankedFitOptions, FittedParams):
    """Parameters of ``model.train``."""


class TrainOutputs(Outputs):
    """Outputs of ``model.train``."""

    model: Annotated[Model, Field(description="The fitted model: a manifest and the file of the library.")]
    metrics: Annotated[
        dict[str, float], Field(description="`train_NAME`, and `validation_NAME` when a validation table is set.")
    ]
    baseline: Annotated[
        dict[str, float],
        Field(
            description="The same metrics of the best constant answer to the training rows, which a model must beat."
        ),
    ]


class Search(BaseModel):
    """A search of hyperparameters within the training rows of a split."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    trials: Annotated[int, Budget("trials"), Field(ge=1, le=10_000, description="Trials in each split.")] = 20
    inner_folds: Annotated[
        int,
        Field(ge=2, le=20, description="Folds of the training rows of a split, by the strategy of `folds`."),
    ] = 3
    space: Annotated[
        dict[Parameter, Dimension] | None,
        Field(
            min_length=1,
            description="Hyperparameters to search, each with its range, and choices of the recipe, such as "
            "`prepare.steps.0.strategy` or `prepare.steps.0.use`; null: the algorithm's default space.",
        ),
    ] = None
    metric: Annotated[
        MetricChoice | None,
        Field(
            description="Metric of a trial, its mean over the inner folds; null: the first of `metrics`, or roc_auc "
            "or rmse."
        ),
    ] = None


class CrossValidateRows(Params):
    """The rows, the folds, the target and the algorithm of ``model.cross_validate``."""

    table: Annotated[Table, Field(description="The rows.")]
    folds: Annotated[Folds, Field(description="The folds of data.folds, made from this table.")]
    target: Target
    algorithm: Algorithm = "XGBoost"
    params: Annotated[dict[str, Scalar], Field(default_factory=dict, description="Hyperparameters.")]
    prepare: Annotated[Recipe | None, Field(description="Recipe of prepare.recipe, fitted in each split.")] = None
    features: Features = None
    exclude: Exclude = ()
    predict_after: Moments = ()
    task: TaskName = None
    positive: Annotated[Label | None, Field(description="The positive class, of two. null: the last in order.")] = None
    max_categories: Annotated[
        int, Field(ge=2, le=1_000_000, description="Categories kept for one text feature, as in model.train.")
    ] = 10_000


class CrossValidateParams(RankedFitOptions, CrossValidateRows):
    """Parameters of ``model.cross_validate``, in the order of ``TrainParams``."""

    early_stopping: StopInFolds = None
    metrics: Annotated[
        tuple[MetricChoice, ...] | None, Field(min_length=1, description="Metrics; null: all of the task.")
    ] = None
    search: Annotated[
        Search | None,
        Field(
            description="Search hyperparameters, and choices of the recipe, within the training rows of each split "
            "(nested cross-validation): the metrics are then those of the whole procedure. `params` are fixed. "
            "null: no search."
        ),
    ] = None
    baseline: Beside = True
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the fits; null: the run's seed.")] = None


class Figures(BaseModel):
    """A metric over the splits."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    mean: Annotated[float, Field(description="Mean over the splits.")]
    sd: Annotated[float, Field(description="Standard deviation over the splits.")]
    folds: Annotated[tuple[float, ...], Field(description="The metric in each split.")]


class CrossValidateOutputs(Outputs):
    """Outputs of ``model.cross_validate``."""

    metrics: Annotated[
        dict[str, Figures], Field(description="Each metric on rows that the model of the split was not trained on.")
    ]
    baseline: Annotated[
        dict[str, Figures], Field(description="The same metrics of the best constant answer to the training rows.")
    ]
    oof: Annotated[
        Table,
        Field(
            description="A row for each tested row: `row`, its position from 0, `split`, the target, `prediction` and, "
            "for classes, `probability` of the positive one or `probability_CLASS`."
        ),
    ]
    model: Annotated[Model, Field(description="The model that is fitted to all rows.")]
    best_params: Annotated[
        dict[str, Scalar],
        Field(
            description="Hyperparameters of the model: `params`, those that `search` chose by folds of all rows, and "
            "with `early_stopping` the number of rounds."
        ),
    ]
    searched: Annotated[
        tuple[dict[str, Scalar], ...],
        Field(
            description="Hyperparameters of the model of each split and choices of its recipe, when there is a "
            "`search`; otherwise empty."
        ),
    ]
    best_recipe: Annotated[
        Recipe | None,
        Field(
            description="The recipe of the model, with the choices that `search` made by folds of all rows; null "
            "without `prepare`."
        ),
    ]
    rounds: Annotated[
        tuple[int, ...],
        Field(description="Rounds of the model of each split, when there is `early_stopping`; otherwise empty."),
    ]


ACTIONS = (
    Action(
        "train",
        "Trains one model.",
        TrainParams,
        TrainOutputs,
        libraries=LIBRARIES,
        columns=True,
        version=3,
    ),
    Action(
        "cross_validate",
        "Fits and judges a model in each split of folds, and fits one to all rows.",
        CrossValidateParams,
        CrossValidateOutputs,
        libraries=(*LIBRARIES, "optuna"),
        columns=True,
        version=5,
    ),
)
