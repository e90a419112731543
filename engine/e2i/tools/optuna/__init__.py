"""The Optuna tool: hyperparameter studies.

In: tables, an algorithm, a search space. Out: a study and its best parameters. Declarations only; ``actions`` does the
work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator

from e2i.catalog import addresses, variables
from e2i.catalog.action import Action, Effect, Tool, ToolSettings, host_and_port, without_credentials
from e2i.tools.optuna.parameters import Scalar, TuneOutputs, TuneParams

__all__ = ["FILE", "TOOL", "OptunaSettings", "Scalar", "TuneOutputs", "TuneParams"]

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

    def identity(self) -> Mapping[str, str]:
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
            libraries=("optuna", "xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "pandas", "matplotlib"),
            columns=True,
            verified=True,
            version=4,
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
    imports=(
        "pandas",
        "xgboost",
        "optuna",
        "sklearn.metrics",
        "sqlalchemy.orm",
        "alembic.context",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
    ),
)
