"""Declare the parameters and outputs of ``data.folds``. Pure."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Folds, Table
from e2i.estimators.folding import GROUPED, STRATIFIED, TIMED, Strategy

ColumnName = Annotated[str, Field(min_length=1)]


class FoldsParams(Params):
    """Parameters of ``data.folds``."""

    table: Annotated[Table, Field(description="The rows to fold.")]
    strategy: Annotated[
        Strategy,
        Field(
            description="kfold: by chance. stratified: with equal shares of the classes of `target`. group: all rows "
            "of a value of `by` in one fold; stratified_group: both. time: each fold is tested after it was trained on "
            "all earlier rows. group_time: the same, without the earlier rows of the tested groups."
        ),
    ]
    by: Annotated[ColumnName | None, Field(description="Column of the group, such as a customer.")] = None
    time: Annotated[ColumnName | None, Field(description="Column of the time: times, or numbers.")] = None
    target: Annotated[ColumnName | None, Field(description="Column of the classes, to stratify by.")] = None
    folds: Annotated[int, Field(ge=2, le=100, description="Number of folds.")] = 5
    gap: Annotated[
        float,
        Field(ge=0, description="Time before each tested fold that is not trained on: days, or as in `time`."),
    ] = 0.0
    repeats: Annotated[int, Field(ge=1, le=100, description="Number of times to fold, each by another chance.")] = 1
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random choice; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _columns_fit_strategy(self) -> Self:
        for name, able in (("by", GROUPED), ("time", TIMED), ("target", STRATIFIED)):
            if (getattr(self, name) is not None) != (self.strategy in able):
                verb = "needs" if self.strategy in able else "takes no"
                raise ValueError(f"strategy {self.strategy} {verb} `{name}`; it belongs to {', '.join(able)}")
        if self.strategy in TIMED and self.repeats > 1:
            raise ValueError("folds in time are the same each time; leave `repeats` out")
        if self.gap and self.strategy not in TIMED:
            raise ValueError("`gap` belongs to strategies time and group_time")
        return self


class FoldsOutputs(Outputs):
    """Outputs of ``data.folds``."""

    folds: Annotated[
        Folds, Field(description="The folds, for model.cross_validate and optuna.tune with the same table.")
    ]
    sizes: Annotated[tuple[int, ...], Field(description="Number of tested rows in each split.")]


ACTIONS = (
    Action(
        "folds",
        "Divides the rows of a table for cross-validation, and checks for leakage.",
        FoldsParams,
        FoldsOutputs,
        libraries=("pandas", "numpy", "pyarrow"),
        columns=True,
    ),
)
