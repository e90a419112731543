"""The Optuna tool: hyperparameter studies.

In: tables, an algorithm, a search space. Out: a study and its best parameters. Declarations only; ``actions`` does the
work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator

from e2i.catalog import variables
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials
from e2i.catalog.artifacts import Study, Table
from e2i.catalog.marks import Budget
from e2i.estimators.algorithms import AlgorithmName, Task
from e2i.estimators.metrics import MetricName
from e2i.estimators.space import Dimension

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
Parameter = Annotated[str, Field(min_length=1, max_length=100)]
Scalar = bool | int | float | str | None

FILE = "studies.db"
"""File name of the embedded study storage, in the tool's home."""


class Settings(ToolSettings):
    """Settings of the study storage."""

    storage: Annotated[
        SecretStr | None,
        Field(description="Address of a PostgreSQL database, `postgresql://…`; null: a SQLite file in the store."),
    ] = None
    busy: Annotated[
        float, Field(gt=0, le=600, description="Seconds to wait while another process has locked the SQLite file.")
    ] = 15.0

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.storage.get_secret_value()) if self.storage else None

    def identity(self) -> Mapping[str, Any]:
        return {"storage": without_credentials(self.storage.get_secret_value())} if self.storage else {}

    @field_validator("storage")
    @classmethod
    def _is_a_server(cls, storage: SecretStr | None) -> SecretStr | None:
        if storage is not None and not re.match(r"postgresql(\+psycopg2?)?://", storage.get_secret_value()):
            raise ValueError(
                "must begin with postgresql://; leave `storage` out to use the embedded SQLite file in the store"
            )
        return storage


class TuneParams(Params):
    """Parameters of ``optuna.tune``."""

    train: Annotated[Table, Field(description="Rows to fit every trial on.")]
    validation: Annotated[Table, Field(description="Rows to evaluate every trial on.")]
    target: Annotated[ColumnName, Field(description="The column to predict.")]
    algorithm: Annotated[AlgorithmName, Field(description="The algorithm.")] = "XGBoost"
    trials: Annotated[
        int, Budget("trials"), Field(ge=1, le=1_000_000, description="Total number of trials in the finished study.")
    ] = 20
    features: Annotated[
        tuple[ColumnName, ...] | None,
        Field(min_length=1, description="Feature columns; null: every column but the target and `exclude`."),
    ] = None
    exclude: Annotated[tuple[ColumnName, ...], Field(description="Columns that are never features.")] = ()
    predict_after: Annotated[
        tuple[ColumnName, ...],
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
    metric: Annotated[
        MetricName | None,
        Field(description="Metric of a trial; null: roc_auc for classification, rmse for regression."),
    ] = None
    direction: Annotated[
        Literal["maximize", "minimize"] | None,
        Field(description="maximize or minimize; null: derived from the metric."),
    ] = None
    space: Annotated[
        dict[Parameter, Dimension] | None,
        Field(
            min_length=1,
            description="Hyperparameters to search, each with its range; null: the algorithm's default space.",
        ),
    ] = None
    fixed: Annotated[
        dict[Parameter, Scalar], Field(default_factory=dict, description="Hyperparameters with a constant value.")
    ]
    sampler: Annotated[Literal["tpe", "random", "qmc"], Field(description="Sampler that proposes parameters.")] = "tpe"
    pruner: Annotated[
        Literal["none", "median"],
        Field(description="median: stop a trial whose metric is worse than the median of earlier trials."),
    ] = "none"
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


class TuneOutputs(Outputs):
    """Outputs of ``optuna.tune``."""

    study: Annotated[
        Study, Field(description="The study in Optuna's storage, with exactly the requested number of trials.")
    ]
    best_params: Annotated[
        dict[str, Scalar],
        Field(description="Parameters of the best trial and the fixed ones, for `params` of model.train."),
    ]
    best_value: Annotated[float, Field(description="Metric of the best trial on the validation table.")]
    trials: Annotated[Table, Field(description="One row per trial: number, state, value, the parameters, the reason.")]


TOOL = Tool(
    name="optuna",
    summary="Searches hyperparameters.",
    actions=(
        Action(
            "tune",
            "Searches the hyperparameters of an algorithm. Resumes an interrupted study.",
            TuneParams,
            TuneOutputs,
            effect=Effect.EXTERNAL,
            libraries=("optuna", "xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "pandas"),
            columns=True,
            verified=True,
            version=2,
        ),
    ),
    settings=Settings,
    distribution="optuna",
    extra="optuna",
    outages=(
        "optuna.exceptions.StorageInternalError",
        "sqlalchemy.exc.OperationalError",
        "sqlalchemy.exc.InterfaceError",
    ),
    variables=variables.POSTGRES,
    credentials=variables.POSTGRES_CREDENTIALS,
    imports=("pandas", "xgboost", "optuna", "sklearn.metrics", "sqlalchemy.orm", "alembic.context"),
)
