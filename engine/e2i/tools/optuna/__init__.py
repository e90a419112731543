"""Hyperparameter studies. In: tables, an algorithm, a search space. Out: a study and its best parameters.

Declarations only; ``actions`` does the work.
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
"""The embedded study storage, in the tool's home."""


class Settings(ToolSettings):
    """Where studies are kept."""

    storage: Annotated[
        SecretStr | None,
        Field(description="Address of a PostgreSQL database, `postgresql://…`; null: a SQLite file in the store."),
    ] = None
    busy: Annotated[
        float, Field(gt=0, le=600, description="Seconds to wait while another process holds the SQLite file locked.")
    ] = 15.0

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.storage.get_secret_value()) if self.storage else None

    def identity(self) -> Mapping[str, Any]:
        return {"storage": without_credentials(self.storage.get_secret_value())} if self.storage else {}

    @field_validator("storage")
    @classmethod
    def _is_a_server(cls, storage: SecretStr | None) -> SecretStr | None:
        if storage is not None and not re.match(r"postgresql(\+psycopg2?)?://", storage.get_secret_value()):
            raise ValueError("must begin with postgresql://; the embedded SQLite file always stands in the store")
        return storage


class TuneParams(Params):
    """What to tune, on which rows, and how to search."""

    train: Annotated[Table, Field(description="Rows that every trial is fitted on.")]
    validation: Annotated[Table, Field(description="Rows that every trial is judged on.")]
    target: Annotated[ColumnName, Field(description="The column to predict.")]
    algorithm: Annotated[AlgorithmName, Field(description="Which kind of model.")] = "XGBoost"
    trials: Annotated[
        int, Budget("trials"), Field(ge=1, le=1_000_000, description="Trials the study shall hold in the end.")
    ] = 20
    features: Annotated[
        tuple[ColumnName, ...] | None,
        Field(min_length=1, description="Columns to learn from; null: every column but the target and `exclude`."),
    ] = None
    exclude: Annotated[tuple[ColumnName, ...], Field(description="Columns never to learn from.")] = ()
    task: Annotated[
        Task | None,
        Field(description="What to predict; null: classes for text, booleans and two distinct numbers, else a number."),
    ] = None
    metric: Annotated[
        MetricName | None, Field(description="What a trial is judged by; null: roc_auc, for numbers rmse.")
    ] = None
    direction: Annotated[
        Literal["maximize", "minimize"] | None, Field(description="Which values are better; null: by the metric.")
    ] = None
    space: Annotated[
        dict[Parameter, Dimension] | None,
        Field(min_length=1, description="Hyperparameters to search, each with its range; null: the algorithm's own."),
    ] = None
    fixed: Annotated[dict[Parameter, Scalar], Field(default_factory=dict, description="Hyperparameters held constant.")]
    sampler: Annotated[Literal["tpe", "random", "qmc"], Field(description="How parameters are proposed.")] = "tpe"
    pruner: Annotated[
        Literal["none", "median"],
        Field(description="median: stops a trial whose metric is behind the median of earlier trials."),
    ] = "none"
    parallel: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Trials in flight, on one thread each. It is part of the result, whatever the number of "
            "cores: a proposal does not know how those in flight will end. Twice the cores keeps all of them busy.",
        ),
    ] = 4
    timeout: Annotated[
        float | None, Field(gt=0, description="Seconds after which no further trial is begun; null: no limit.")
    ] = None
    study: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Name of the study; null: target and algorithm."
        ),
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the sampler and of every fit; null: the run's own.")
    ] = None


class TuneOutputs(Outputs):
    """The study and what it found."""

    study: Annotated[Study, Field(description="The study in Optuna's storage, with exactly the trials asked for.")]
    best_params: Annotated[
        dict[str, Scalar],
        Field(description="The best trial's parameters with the fixed ones: `params` of model.train."),
    ]
    best_value: Annotated[float, Field(description="The best trial's metric on the validation table.")]
    trials: Annotated[Table, Field(description="One row a trial: number, state, value, the parameters, the reason.")]


TOOL = Tool(
    name="optuna",
    summary="Searches hyperparameters.",
    actions=(
        Action(
            "tune",
            "Searches the hyperparameters of an algorithm; goes on where an earlier attempt stopped.",
            TuneParams,
            TuneOutputs,
            effect=Effect.EXTERNAL,
            libraries=("optuna", "xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "pandas"),
            columns=True,
            verified=True,
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
