"""Declare the parameters and outputs of ``optuna.tune``. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from e2i.catalog.action import Outputs, Params
from e2i.catalog.artifacts import EffectModel, Folds, Model, Recipe, Report, Study, Table
from e2i.catalog.extensible import Extensible
from e2i.catalog.marks import Budget
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.metrics import MetricName
from e2i.estimators.options import RankedFitOptions, StopInTrials
from e2i.estimators.space import Dimension
from e2i.tools.optuna.effect_parameters import ESTIMATORS, BestEstimate, EffectQuestion, fault
from e2i.tools.optuna.rules import Choose, Direction, Goal, Stopping

Parameter = Annotated[str, Field(min_length=1, max_length=100)]
Scalar = bool | int | float | str | None
SearchMetric = Literal[MetricName, "r_score", "dr_score"]
SearchedName = Annotated[str, Extensible("algorithms", (*ALGORITHMS, *ESTIMATORS))]
"""An algorithm that predicts, also one that is added, or an estimator of effects."""
StudyName = Annotated[str, Field(min_length=1, max_length=512)]


class TuneRows(Params):
    """The rows, the target, the algorithm and the number of trials of ``optuna.tune``."""

    train: Annotated[Table, Field(description="Rows to fit every trial on.")]
    validation: Annotated[Table | None, Field(description="Rows to evaluate every trial on; instead of `folds`.")] = (
        None
    )
    folds: Annotated[
        Folds | None,
        Field(
            description="Folds of data.folds, made from `train`. A trial is fitted and judged in each split, and its "
            "value is the mean; instead of `validation`."
        ),
    ] = None
    target: Annotated[ColumnName, Field(description="The column to predict; of `effect`, the outcome.")]
    algorithm: Annotated[
        SearchedName, Field(description="The algorithm; of `effect`, the estimator, such as CausalForest.")
    ] = "XGBoost"
    trials: Annotated[
        int,
        Budget("trials"),
        Field(
            ge=1,
            le=1_000_000,
            description="Number of trials in the finished study; `stop`, `timeout` and a grid may end it earlier.",
        ),
    ] = 20
    prepare: Annotated[
        Recipe | None,
        Field(
            description="Recipe of prepare.recipe, fitted to `train`, or in each split of "
            "`folds`; it travels with the model. null: none."
        ),
    ] = None
    features: Annotated[
        tuple[ColumnName, ...] | None,
        Field(min_length=1, description="Feature columns; null: every column but the target and `exclude`."),
    ] = None
    exclude: Annotated[ColumnNames, Field(description="Columns that are never features.")] = ()
    predict_after: Annotated[
        ColumnNames,
        Field(
            description="Moments, as in `known_at` of data.load, that have passed when the model predicts. A column "
            "that is known only at another moment cannot be a feature."
        ),
    ] = ()
    task: Annotated[
        Task | None,
        Field(
            description="Type of prediction. null: classification for text, booleans and two distinct numbers, "
            "otherwise regression."
        ),
    ] = None
    positive: Annotated[
        bool | int | float | str | None,
        Field(description="The positive class, of two: probabilities are of it. null: the last in order."),
    ] = None
    max_categories: Annotated[
        int, Field(ge=2, le=1_000_000, description="Categories kept for one text feature, as in model.train.")
    ] = 10_000


class TuneParams(RankedFitOptions, TuneRows):
    """Parameters of ``optuna.tune``: the rows come first, then the options of a fit, then those of the search."""

    early_stopping: StopInTrials = None
    effect: Annotated[
        EffectQuestion | None,
        Field(
            description="Search an estimator of the effect of a treatment on `target`, by r_score or dr_score. null: "
            "search an algorithm that predicts `target`."
        ),
    ] = None
    metric: Annotated[
        SearchMetric | None,
        Field(
            description="Metric of a trial; null: roc_auc for classification, rmse for regression, ndcg for a ranking, "
            "r_score for an effect."
        ),
    ] = None
    direction: Annotated[
        Direction | None,
        Field(description="maximize or minimize; null: derived from the metric."),
    ] = None
    metrics: Annotated[
        tuple[Goal, ...] | None,
        Field(
            min_length=2,
            max_length=6,
            description="Several metrics to search by at once, instead of `metric` and `direction`. The result is the "
            "Pareto front, and `choose` takes one trial of it.",
        ),
    ] = None
    choose: Annotated[
        Choose | None,
        Field(description="Which trial of the Pareto front is the best one; null: the one at the knee."),
    ] = None
    space: Annotated[
        dict[Parameter, Dimension] | None,
        Field(
            min_length=1,
            description="Hyperparameters to search, each with its range, and choices of the recipe: "
            "`prepare.steps.0.strategy` is a parameter of its first operation, `prepare.steps.0.use` (true or false) "
            "whether it is applied; of `effect`, settings of a forest, and `outcome_model.max_depth`. null: the "
            "algorithm's default space.",
        ),
    ] = None
    fixed: Annotated[
        dict[Parameter, Scalar], Field(default_factory=dict, description="Hyperparameters with a constant value.")
    ]
    sampler: Annotated[
        Literal["tpe", "multivariate_tpe", "cmaes", "random", "grid", "qmc", "gp"],
        Field(
            description="Sampler that proposes parameters. `multivariate_tpe` knows how parameters depend on each "
            "other, `cmaes` suits numbers, `grid` tries each combination of a finite space once, `gp` needs the extra "
            "`optuna-gp`."
        ),
    ] = "tpe"
    pruner: Annotated[
        Literal["none", "median", "hyperband", "successive_halving"],
        Field(
            description="Stop trials that are behind, by their metric of each tenth round; with `folds`, by the mean "
            "after each split. median: worse than the "
            "median of earlier trials. successive_halving: not among the best at the rounds where trials are halved; "
            "hyperband: the same, with several such schedules."
        ),
    ] = "none"
    stop: Annotated[
        Stopping | None, Field(description="When to start no more trials before there are `trials`; null: never.")
    ] = None
    warm_start: Annotated[
        tuple[Study | StudyName, ...],
        Field(
            max_length=20,
            description="Studies whose trials the sampler knows from the start: outputs of other steps, or names of "
            "studies in the storage. Their trials neither count nor become the best.",
        ),
    ] = ()
    parallel: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Number of concurrent trials, each on one thread. It affects the result, whatever the "
            "number of cores, because a proposal cannot use the results of running trials. Twice the number of "
            "cores keeps all cores busy.",
        ),
    ] = 4
    timeout: Annotated[
        float | None, Field(gt=0, description="Seconds after which no new trial starts; null: no limit.")
    ] = None
    plots: Annotated[bool, Field(description="Draw the plots of the report.")] = True
    study: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$",
            description="Name of the study; null: derived from target and algorithm.",
        ),
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the sampler and of every fit; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _judged_by_one(self) -> TuneParams:
        if (self.validation is None) == (self.folds is None):
            raise ValueError("set either `validation` or `folds`: the rows that trials are judged by")
        given = {name: getattr(self, name) for name in type(self).model_fields}
        if said := fault(given | {"effect": None if self.effect is None else self.effect.model_dump()}):
            raise ValueError(said)
        return self


class TuneOutputs(Outputs):
    """Outputs of ``optuna.tune``."""

    study: Annotated[Study, Field(description="The study in Optuna's storage, with each of its trials once.")]
    best_params: Annotated[
        dict[str, Scalar],
        Field(
            description="Parameters of the best trial and the fixed ones, for `params` of model.train; with "
            "`early_stopping`, the number of rounds is that of its model, or the median of those of the splits."
        ),
    ]
    best_value: Annotated[
        float,
        Field(
            description="Metric of the best trial on the validation table, or its mean over the folds; of several "
            "metrics, the first."
        ),
    ]
    best_values: Annotated[dict[str, float], Field(description="Each metric of the best trial, by name.")]
    best_recipe: Annotated[
        Recipe | None,
        Field(
            description="The recipe with the choices of the best trial, for `prepare` of model.train; null without "
            "`prepare`."
        ),
    ]
    best_estimate: Annotated[
        BestEstimate | None,
        Field(
            description="Of `effect`: `estimator`, `params`, `outcome_model` and `treatment_model` of the best trial, "
            "for causal.estimate; null of a prediction."
        ),
    ]
    model: Annotated[
        Model | EffectModel,
        Field(description="The model of the best trial, fitted to `train`; of `effect`, that of the effect."),
    ]
    trials: Annotated[
        Table,
        Field(
            description="One row per trial: number, state, value (of several metrics, a column for each), the "
            "parameters, the reason."
        ),
    ]
    front: Annotated[
        Table,
        Field(
            description="The trials that no other one dominates, best first by the first metric: number, a column for "
            "each metric, the parameters, and `chosen`, true for the best trial."
        ),
    ]
    report: Annotated[
        Report, Field(description="One HTML page with the best trial, the front and, if requested, the plots.")
    ]
