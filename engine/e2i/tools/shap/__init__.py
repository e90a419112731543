"""Explanations of models. In: a model and rows. Out: SHAP values, the importance of features, and plots.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.marks import Budget


class Settings(ToolSettings):
    """Limits on explaining."""

    deadline: Annotated[float, Field(gt=0, description="Seconds that one explanation may take.")] = 3600.0


class ExplainParams(Params):
    """What to explain, on which rows."""

    model: Annotated[Model, Field(description="The model to explain.")]
    table: Annotated[Table, Field(description="Rows with the model's features.")]
    rows: Annotated[
        int,
        Budget("rows"),
        Field(
            ge=1,
            le=100_000,
            description="Rows to explain, drawn evenly from the table by the seed. 100,000 rows of 50 features take "
            "minutes; a few thousand settle the importances.",
        ),
    ] = 1000
    background: Annotated[
        Table | None,
        Field(description="Linear models: rows that an absent feature is averaged over; null: all rows of `table`."),
    ] = None
    plots: Annotated[bool, Field(description="Draw bars, a beeswarm and the dependence on the top features.")] = True
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the choice of rows; null: the run's own.")
    ] = None


class ExplainOutputs(Outputs):
    """Why the model predicts what it predicts. Values are in the model's margin: log-odds where it has them."""

    values: Annotated[
        Table,
        Field(
            description="One row an explained row: `row` (its place in the table), one column a feature, "
            "`expected_value` and `margin`; features and expected value add up to the margin. For more than two "
            "classes one row a row and class, told by `class`."
        ),
    ]
    expected_value: Annotated[
        float | list[float], Field(description="Mean margin that the values start from; a list for several classes.")
    ]
    importance: Annotated[
        dict[str, float], Field(description="Each feature's share of the mean absolute values, greatest first.")
    ]
    report: Annotated[Report, Field(description="A page with the importances and, if asked for, the plots.")]


TOOL = Tool(
    name="shap",
    summary="Explains models by SHAP values.",
    actions=(
        Action(
            "explain",
            "Explains a model's predictions, and checks that the values add up to them.",
            ExplainParams,
            ExplainOutputs,
            libraries=("shap", "xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "pandas"),
            columns=True,
        ),
    ),
    settings=Settings,
    distribution="shap",
    extra="shap",
    imports=("pandas", "xgboost", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
