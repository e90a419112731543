"""The Optuna tool: hyperparameter studies.

In: tables, an algorithm, a search space. Out: a study and its best parameters. Declarations only; ``actions`` does the
work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from e2i.catalog import addresses, variables
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials
from e2i.catalog.artifacts import Study, Table
from e2i.catalog.marks import Budget
from e2i.estimators.algorithms import ALGORITHMS, AlgorithmName, Task
from e2i.estimators.metrics import MetricName
from e2i.estimators.space import Dimension

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
Parameter = Annotated[str, Field(min_length=1, max_length=100)]
Scalar = bool | int | float | str | None

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<file>[^?]+)")

TRACKERS = (*addresses.HTTP, *addresses.POSTGRESQL, "sqlite")
"""Schemes of the addresses of MLflow."""
FILE = "studies.db"
"""File name of the embedded study storage, in the tool's home."""


class OptunaSettings(ToolSettings):
    """Settings of the study storage."""

    study_storage: Annotated[
        SecretStr | None,
        Field(
            description="Address of the relational database of studies, as Optuna takes it, such as `postgresql://…`; "
            "null: a SQLite file in the store."
        ),
    ] = None
    mlflow_tracking_uri: Annotated[
        str | None,
        Field(
            description="MLflow server that the trials of a program belong to. A trial is a nested run of the open "
            "run, so another server than that of the run is refused. null: whichever the open run has."
        ),
    ] = None
    busy: Annotated[
        float, Field(gt=0, le=600, description="Seconds to wait while another process has locked the SQLite file.")
    ] = 15.0

    def address(self) -> tuple[str, int] | None:
        if self.study_storage is None or self.study_file is not None:
            return None
        return host_and_port(self.study_storage.get_secret_value())

    @property
    def study_file(self) -> Path | None:
        """File of the configured storage when it is SQLite; None for a server, and for the store's own file."""
        if self.study_storage is None or not (found := _SQLITE.match(self.study_storage.get_secret_value())):
            return None
        return Path(found["file"])

    def identity(self) -> Mapping[str, Any]:
        if self.study_storage is None:
            return {}
        return {"study_storage": without_credentials(self.study_storage.get_secret_value())}

    @field_validator("study_storage", "mlflow_tracking_uri", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("study_storage")
    @classmethod
    def _is_a_database(cls, storage: SecretStr | None) -> SecretStr | None:
        if storage is None:
            return None
        try:
            addresses.check(storage.get_secret_value(), addresses.RELATIONAL)
        except ValueError as error:
            raise ValueError(
                f"{error}. The address is that of a relational database that keeps studies, such as "
                "postgresql://user@host/studies or sqlite:////folder/studies.db; leave `study_storage` out to use the "
                "embedded SQLite file in the store"
            ) from None
        return storage

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _is_a_tracker(cls, address: str | None) -> str | None:
        return None if address is None else addresses.check(address, TRACKERS)


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

    @model_validator(mode="after")
    def _can_prune(self) -> TuneParams:
        if self.pruner != "none" and not ALGORITHMS[self.algorithm].rounds:
            able = ", ".join(name for name, known in ALGORITHMS.items() if known.rounds)
            raise ValueError(
                f"{self.algorithm} does not train in rounds, so its trials cannot be pruned; remove pruner, or use one "
                f"of {able}"
            )
        return self


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
    settings=OptunaSettings,
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
