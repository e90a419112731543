"""The prepare tool: say how the features of a model are prepared. In: operations. Out: recipes, and a look at them.

Declarations only; ``actions`` does the work. A recipe is fitted where a model is: by model.train,
model.cross_validate and optuna.tune, to the training rows alone. No action fits it to a table and returns the table:
what a whole table tells must not be in the rows that a model is judged by.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Recipe, Report, Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.estimators.recipes import Step

LIBRARIES = ("scikit-learn", "numpy", "pandas")


class RecipeParams(Params):
    """Parameters of ``prepare.recipe``."""

    steps: Annotated[
        tuple[Step, ...],
        Field(
            min_length=1,
            max_length=200,
            description="Operations, in order: {op, columns or types, …}. Each is applied to the columns that those "
            "before it have made.",
        ),
    ]


class RecipeOutputs(Outputs):
    """Outputs of ``prepare.recipe``."""

    recipe: Annotated[Recipe, Field(description="The recipe, for `prepare` of model.train and others.")]


class PreviewParams(Params):
    """Parameters of ``prepare.preview``."""

    table: Annotated[Table, Field(description="Rows to fit the recipe to.")]
    recipe: Annotated[Recipe, Field(description="The recipe.")]
    target: Annotated[
        ColumnName | None, Field(description="The column to predict; needed by target_encode and select.")
    ] = None
    features: Annotated[
        tuple[ColumnName, ...] | None,
        Field(min_length=1, description="Feature columns; null: every column but the target and `exclude`."),
    ] = None
    exclude: Annotated[ColumnNames, Field(description="Columns that are never features.")] = ()
    rows: Annotated[int, Field(ge=1, le=100, description="Rows to show.")] = 10
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the cross-fitting; null: the run's seed.")
    ] = None


class Prepared(BaseModel):
    """One column that a recipe makes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(description="Name of the column.")]
    type: Annotated[str, Field(description="number, text or time.")]
    missing: Annotated[float, Field(description="Share of the rows in which it is missing.")]
    distinct: Annotated[int, Field(description="Number of different values.")]
    low: Annotated[float | None, Field(description="Lowest number; null for other types.")]
    mean: Annotated[float | None, Field(description="Mean of the numbers.")]
    high: Annotated[float | None, Field(description="Highest number.")]


class PreviewOutputs(Outputs):
    """Outputs of ``prepare.preview``: figures to look at, no table to train on."""

    columns: Annotated[tuple[Prepared, ...], Field(description="The columns that the recipe makes.")]
    report: Annotated[Report, Field(description="One HTML page with the columns and the first rows.")]


TOOL = Tool(
    name="prepare",
    summary="Says how the features of a model are prepared.",
    actions=(
        Action("recipe", "Lists operations that are fitted with a model.", RecipeParams, RecipeOutputs, columns=True),
        Action(
            "preview",
            "Fits a recipe to a table and shows the result.",
            PreviewParams,
            PreviewOutputs,
            libraries=LIBRARIES,
            columns=True,
        ),
    ),
    distribution="scikit-learn",
    extra="models",
    imports=("pandas", "sklearn.preprocessing"),
)
