"""Fields that several actions of the model tool share. In: nothing. Out: annotated types."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.artifacts import Recipe, Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.estimators.algorithms import AlgorithmName, Task

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
Exclude = Annotated[ColumnNames, Field(description="Columns that are never features, such as keys and times.")]
Moments = Annotated[
    ColumnNames,
    Field(
        description="Moments, as in `known_at` of data.load, that have passed when the model predicts. A column "
        "that is known only at another moment cannot be a feature."
    ),
]
TaskName = Annotated[
    Task | None,
    Field(
        description="Type of prediction. null: classification for text, booleans and two distinct numbers, "
        "otherwise regression. `ranking` orders the rows of a `group`."
    ),
]
Threshold = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Probability from which a row is classified as positive, for two classes; null: the threshold of "
        "model.threshold, or 0.5.",
    ),
]
Label = bool | int | float | str
CONFIDENCE = "confidence"
"""Key of `at_least` and `at_most` that is the level of an interval, not a metric."""


Positive = Annotated[Label | None, Field(description="The positive class, of two; null: that of the model.")]
JudgedTable = Annotated[Table, Field(description="Rows with the target that no model was trained on.")]
Group = Annotated[
    ColumnName | None,
    Field(
        description="Column of the entity or the day, whose rows are drawn together for the intervals; null: rows are "
        "drawn one by one."
    ),
]
Level = Annotated[float, Field(gt=0.5, lt=1, description="Level of the bootstrap intervals.")]
Seed = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the intervals; null: the run's seed.")]
Prepare = Annotated[
    Recipe | None,
    Field(description="Recipe of prepare.recipe, fitted to the training rows; it travels with the model. null: none."),
]

LIBRARIES = ("xgboost", "lightgbm", "catboost", "scikit-learn", "skops", "numpy", "pandas")
"""The distributions whose versions can change a model."""
