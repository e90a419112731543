"""Models of tables: trained, judged, applied and chosen. In: tables. Out: models, metrics, predictions.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Model, Report, Table
from e2i.estimators.algorithms import AlgorithmName, Task
from e2i.estimators.rounds import WatchedMetric

LIBRARIES = ("xgboost", "lightgbm", "catboost", "scikit-learn", "skops", "numpy", "pandas")

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
Scalar = bool | int | float | str | None
Target = Annotated[ColumnName, Field(description="The column to predict.")]
Algorithm = Annotated[AlgorithmName, Field(description="Which kind of model.")]
Features = Annotated[
    tuple[ColumnName, ...] | None,
    Field(
        min_length=1,
        description="Columns to learn from; null: every column but the target and `exclude`. Times are never features.",
    ),
]
Exclude = Annotated[tuple[ColumnName, ...], Field(description="Columns never to learn from, such as keys and times.")]
TaskName = Annotated[
    Task | None,
    Field(description="What to predict; null: classes for text, booleans and two distinct numbers, else a number."),
]
Threshold = Annotated[
    float, Field(gt=0, lt=1, description="Probability from which a row counts as the positive (last) of two classes.")
]


class EarlyStop(BaseModel):
    """When to stop adding rounds to a boosted model."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rounds: Annotated[int, Field(ge=1, le=10_000, description="Stop after this many rounds without improvement.")]
    metric: Annotated[
        WatchedMetric | None,
        Field(description="What must improve on the validation table; null: log_loss or rmse."),
    ] = None


class TrainParams(Params):
    """What to train on, and how."""

    table: Annotated[Table, Field(description="The training table.")]
    validation: Annotated[
        Table | None, Field(description="Rows not trained on: measured, and watched for `early_stopping`.")
    ] = None
    target: Target
    algorithm: Algorithm = "XGBoost"
    params: Annotated[
        dict[str, Scalar],
        Field(default_factory=dict, description="Hyperparameters, under the library's scikit-learn names."),
    ]
    features: Features = None
    exclude: Exclude = ()
    task: TaskName = None
    early_stopping: Annotated[
        EarlyStop | None, Field(description="Stops a boosted model early; needs `validation`. Null: never.")
    ] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the fit; null: the run's own.")] = None


class TrainOutputs(Outputs):
    """The fitted model."""

    model: Annotated[Model, Field(description="The fitted model: a manifest and the library's own file.")]
    metrics: Annotated[
        dict[str, float], Field(description="`train_NAME`, and `validation_NAME` when a validation table is given.")
    ]


class EvaluateParams(Params):
    """What to judge, on which rows."""

    model: Annotated[Model, Field(description="The model to judge.")]
    table: Annotated[Table, Field(description="Rows with the target, that the model has not seen.")]
    threshold: Threshold = 0.5
    plots: Annotated[bool, Field(description="Draw curves and the confusion matrix into the report.")] = True


class EvaluateOutputs(Outputs):
    """How good the model is on these rows."""

    metrics: Annotated[
        dict[str, float],
        Field(
            description="Classes: roc_auc, average_precision, log_loss, brier, accuracy, f1, precision, recall, "
            "prevalence. Numbers: rmse, mae, r2, mape. One that is not defined for these rows is left out."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the metrics and plots.")]


class PredictParams(Params):
    """What to apply to which rows."""

    model: Annotated[Model, Field(description="The model to apply.")]
    table: Annotated[Table, Field(description="Rows with the model's features.")]
    keep: Annotated[
        tuple[ColumnName, ...] | None, Field(description="Columns to carry over to the result; null: all.")
    ] = None
    threshold: Threshold = 0.5


class PredictOutputs(Outputs):
    """The rows with what the model says of them."""

    table: Annotated[
        Table,
        Field(
            description="The kept columns and `prediction`; for two classes also `probability` of the last one, "
            "for more `probability_CLASS` of each."
        ),
    ]


class Trained(BaseModel):
    """What a training step gives: a model, and metrics if it has any. Its other outputs are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, protected_namespaces=())

    model: Annotated[Model, Field(description="The candidate.")]
    metrics: Annotated[dict[str, float], Field(description="What is known of it.")] = {}


class Combination(BaseModel):
    """One cell of a matrix step: the values it was run for, and its outputs."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    matrix: Annotated[dict[str, Any], Field(description="The cell's values.")]
    outputs: Annotated[Trained, Field(description="The cell's outputs.")]


class SelectParams(Params):
    """Which of several models to take."""

    candidates: Annotated[
        list[Combination | Trained | Model] | dict[str, Trained | Model],
        Field(
            min_length=1,
            description="A matrix step of model.train (`${{ steps.train }}`), a list of {model, metrics}, or a mapping "
            "from a name to a model or {model, metrics}.",
        ),
    ]
    table: Annotated[
        Table | None, Field(description="Rows to judge every candidate on; null: the metrics that came with them.")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            min_length=1,
            description="What decides; null: roc_auc or rmse. Without `table`, the name among the candidates' metrics.",
        ),
    ] = None
    direction: Annotated[
        Literal["maximize", "minimize"] | None,
        Field(description="maximize or minimize; null: by the metric."),
    ] = None


class Ranked(BaseModel):
    """One candidate's place."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(description="The candidate's name.")]
    algorithm: Annotated[str, Field(description="Which kind of model.")]
    value: Annotated[float, Field(description="The metric that decided.")]


class SelectOutputs(Outputs):
    """The best model. Equal values keep the order of the candidates."""

    model: Annotated[Model, Field(description="The best candidate.")]
    name: Annotated[str, Field(description="Its name: the values of its cell, or the name given.")]
    metrics: Annotated[dict[str, float], Field(description="Its metrics.")]
    ranking: Annotated[list[Ranked], Field(description="Every candidate, best first.")]


TOOL = Tool(
    name="model",
    summary="Trains, judges, applies and chooses models of tables.",
    actions=(
        Action("train", "Trains one model.", TrainParams, TrainOutputs, libraries=LIBRARIES, columns=True),
        Action(
            "evaluate",
            "Judges a model on rows it has not seen.",
            EvaluateParams,
            EvaluateOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns=True,
        ),
        Action(
            "predict", "Applies a model to a table.", PredictParams, PredictOutputs, libraries=LIBRARIES, columns=True
        ),
        Action(
            "select",
            "Chooses the best of several models.",
            SelectParams,
            SelectOutputs,
            libraries=LIBRARIES,
            columns=True,
        ),
    ),
    distribution="xgboost",
    extra="models",
    imports=("pandas", "xgboost", "sklearn.metrics", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
