"""The model tool: train, evaluate, apply and choose models of tables. In: tables. Out: models, metrics, predictions.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import EffectModel, Folds, Model, Recipe, Report, Table
from e2i.estimators.algorithms import AlgorithmName, Task
from e2i.estimators.metrics import METRICS, MetricName
from e2i.estimators.rounds import WatchedMetric

LIBRARIES = ("xgboost", "lightgbm", "catboost", "scikit-learn", "skops", "numpy", "pandas")

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
Scalar = bool | int | float | str | None
Target = Annotated[ColumnName, Field(description="The column to predict.")]
Algorithm = Annotated[AlgorithmName, Field(description="The algorithm.")]
Features = Annotated[
    tuple[ColumnName, ...] | None,
    Field(
        min_length=1,
        description="Feature columns; null: every column but the target and `exclude`. Times are never features.",
    ),
]
Exclude = Annotated[
    tuple[ColumnName, ...], Field(description="Columns that are never features, such as keys and times.")
]
Moments = Annotated[
    tuple[ColumnName, ...],
    Field(
        description="Moments, as in `known_at` of data.load, that have passed when the model predicts. A column "
        "that is known only at another moment cannot be a feature."
    ),
]
TaskName = Annotated[
    Task | None,
    Field(
        description="Type of prediction. null: classification for text, booleans and two distinct numbers, "
        "otherwise regression."
    ),
]
Threshold = Annotated[
    float, Field(gt=0, lt=1, description="Probability from which a row is classified as positive, for two classes.")
]
Label = bool | int | float | str
CONFIDENCE = "confidence"
"""Key of `at_least` and `at_most` that is the level of an interval, not a metric."""


Prepare = Annotated[
    Recipe | None,
    Field(description="Recipe of prepare.recipe, fitted to the training rows; it travels with the model. null: none."),
]


class EarlyStop(BaseModel):
    """Settings of early stopping of a boosted model."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rounds: Annotated[int, Field(ge=1, le=10_000, description="Stop after this many rounds without improvement.")]
    metric: Annotated[
        WatchedMetric | None,
        Field(description="Metric on the validation table that must improve; null: log_loss or rmse."),
    ] = None


class TrainParams(Params):
    """Parameters of ``model.train``."""

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
    early_stopping: Annotated[
        EarlyStop | None, Field(description="Early stopping of a boosted model; needs `validation`. null: none.")
    ] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the fit; null: the run's seed.")] = None


class TrainOutputs(Outputs):
    """Outputs of ``model.train``."""

    model: Annotated[Model, Field(description="The fitted model: a manifest and the file of the library.")]
    metrics: Annotated[
        dict[str, float], Field(description="`train_NAME`, and `validation_NAME` when a validation table is set.")
    ]


class CrossValidateParams(Params):
    """Parameters of ``model.cross_validate``."""

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
    metrics: Annotated[
        tuple[MetricName, ...] | None, Field(min_length=1, description="Metrics; null: all of the task.")
    ] = None
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
    oof: Annotated[
        Table,
        Field(
            description="A row for each tested row: `row`, its position from 0, `split`, the target, `prediction` and, "
            "for classes, `probability` of the positive one or `probability_CLASS`."
        ),
    ]
    model: Annotated[Model, Field(description="The model that is fitted to all rows.")]


class EvaluateParams(Params):
    """Parameters of ``model.evaluate``."""

    model: Annotated[Model, Field(description="The model to evaluate.")]
    table: Annotated[Table, Field(description="Rows with the target that the model was not trained on.")]
    threshold: Threshold = 0.5
    positive: Annotated[Label | None, Field(description="The positive class, of two; null: that of the model.")] = None
    interval: Annotated[
        float | None, Field(gt=0.5, lt=1, description="Level of the bootstrap intervals; null: no intervals.")
    ] = 0.95
    at_least: Annotated[
        Mapping[str, float],
        Field(
            description="Lowest acceptable values, such as {roc_auc: 0.6, confidence: 0.95}. With `confidence`, the "
            "lower bound of the interval of that level must reach them, otherwise the metric itself. The step fails "
            "when one is not reached."
        ),
    ] = {}
    at_most: Annotated[
        Mapping[str, float], Field(description="Highest acceptable values of log_loss, brier, rmse, mae and mape.")
    ] = {}
    group: Annotated[
        ColumnName | None,
        Field(
            description="Column of the entity or the day. Rows of one group are drawn together for the intervals, "
            "because they are alike; null: rows are drawn one by one."
        ),
    ] = None
    plots: Annotated[bool, Field(description="Add curves and the confusion matrix to the report.")] = True
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the intervals; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _limits_of_metrics(self) -> Self:
        for name, direction in (("at_least", "maximize"), ("at_most", "minimize")):
            limits: Mapping[str, float] = getattr(self, name)
            able = [metric for metric, known in METRICS.items() if known.direction == direction]
            for metric, value in limits.items():
                if metric == CONFIDENCE:
                    if not 0.5 < value < 1:
                        raise ValueError(f"{name}.{CONFIDENCE} must be between 0.5 and 1, not {value:g}")
                elif metric not in able:
                    raise ValueError(f"{name} takes {', '.join(able)} and {CONFIDENCE}, not {metric}")
        return self


class Interval(BaseModel):
    """Bootstrap interval of a metric."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    low: Annotated[float, Field(description="Lower bound.")]
    high: Annotated[float, Field(description="Upper bound.")]


class EvaluateOutputs(Outputs):
    """Outputs of ``model.evaluate``."""

    metrics: Annotated[
        dict[str, float],
        Field(
            description="Classification: roc_auc, average_precision, log_loss, brier, accuracy, f1, precision, "
            "recall, prevalence. For more than two classes the mean over all classes. Regression: rmse, mae, r2, "
            "mape. A metric that is not defined for these rows is left out."
        ),
    ]
    intervals: Annotated[
        dict[str, Interval], Field(description="The bootstrap interval of each metric; empty without `interval`.")
    ]
    baseline: Annotated[
        dict[str, float],
        Field(
            description="The same metrics of a constant answer: the training shares of the classes, or the training "
            "mean. A warning names each metric in which the model is worse."
        ),
    ]
    positive: Annotated[
        str | None, Field(description="The positive class of the metrics; null unless there are two classes.")
    ]
    report: Annotated[Report, Field(description="One HTML page with the metrics and plots.")]


class PredictParams(Params):
    """Parameters of ``model.predict``."""

    model: Annotated[Model | EffectModel, Field(description="The model to apply, also that of `causal.estimate`.")]
    table: Annotated[Table, Field(description="Rows with the model's features.")]
    keep: Annotated[tuple[ColumnName, ...] | None, Field(description="Columns to copy to the result; null: all.")] = (
        None
    )
    threshold: Threshold = 0.5


class PredictOutputs(Outputs):
    """Outputs of ``model.predict``."""

    table: Annotated[
        Table,
        Field(
            description="The copied columns and `prediction`. Two classes: also `probability` of the "
            "positive class. More classes: also `probability_CLASS` for each class. An effect model: `effect`, `lower` "
            "and `upper` instead, the interval of the level that it was estimated with."
        ),
    ]


class Trained(BaseModel):
    """Outputs of a training step: a model, and metrics if there are any. Other outputs are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, protected_namespaces=())

    model: Annotated[Model, Field(description="The candidate.")]
    metrics: Annotated[dict[str, float], Field(description="Metrics of the candidate.")] = {}


class Combination(BaseModel):
    """One combination of a matrix step: its matrix values and its outputs."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    matrix: Annotated[dict[str, Any], Field(description="The combination's matrix values.")]
    outputs: Annotated[Trained, Field(description="The combination's outputs.")]


class SelectParams(Params):
    """Parameters of ``model.select``."""

    candidates: Annotated[
        list[Combination | Trained | Model] | dict[str, Trained | Model],
        Field(
            min_length=1,
            description="A matrix step of model.train (`${{ steps.train }}`), a list of {model, metrics}, or a "
            "mapping from a name to a model or {model, metrics}.",
        ),
    ]
    table: Annotated[
        Table | None, Field(description="Rows to evaluate every candidate on; null: use the candidates' own metrics.")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Metric to rank by; null: roc_auc or rmse. Without `table`: a name among the "
            "candidates' metrics.",
        ),
    ] = None
    direction: Annotated[
        Literal["maximize", "minimize"] | None,
        Field(description="maximize or minimize; null: derived from the metric."),
    ] = None


class Ranked(BaseModel):
    """Rank of one candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(description="Name of the candidate.")]
    algorithm: Annotated[str, Field(description="The candidate's algorithm.")]
    value: Annotated[float, Field(description="Value of the metric.")]


class SelectOutputs(Outputs):
    """Outputs of ``model.select``. Candidates with equal values keep their order."""

    model: Annotated[Model, Field(description="The best candidate.")]
    name: Annotated[
        str, Field(description="Name of the best candidate: its matrix values, or the name in `candidates`.")
    ]
    metrics: Annotated[dict[str, float], Field(description="Metrics of the best candidate.")]
    ranking: Annotated[list[Ranked], Field(description="All candidates, best first.")]


TOOL = Tool(
    name="model",
    summary="Trains, evaluates, applies and chooses models of tables.",
    actions=(
        Action("train", "Trains one model.", TrainParams, TrainOutputs, libraries=LIBRARIES, columns=True, version=2),
        Action(
            "cross_validate",
            "Fits and judges a model in each split of folds, and fits one to all rows.",
            CrossValidateParams,
            CrossValidateOutputs,
            libraries=LIBRARIES,
            columns=True,
        ),
        Action(
            "evaluate",
            "Evaluates a model on rows that it was not trained on.",
            EvaluateParams,
            EvaluateOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns=True,
            version=2,
        ),
        Action(
            "predict",
            "Applies a model to a table.",
            PredictParams,
            PredictOutputs,
            libraries=(*LIBRARIES, "econml"),
            columns=True,
            version=2,
        ),
        Action(
            "select",
            "Chooses the best of several models.",
            SelectParams,
            SelectOutputs,
            libraries=LIBRARIES,
            columns=True,
            version=2,
        ),
    ),
    distribution="xgboost",
    extra="models",
    imports=("pandas", "xgboost", "sklearn.metrics", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
