"""The SHAP tool: explain models. In: a model and rows. Out: SHAP values, feature importance, and plots.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.marks import Budget


class SHAPSettings(ToolSettings):
    """SHAPSettings of explanations."""

    deadline: Annotated[float, Field(gt=0, description="Timeout of one explanation, in seconds.")] = 3600.0
    background_rows: Annotated[
        int,
        Field(
            ge=2,
            le=10_000,
            description="Rows that absent features are averaged over, for models without an explainer of their own.",
        ),
    ] = 100
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Seed of the choice of these rows.")] = 0


class ExplainParams(Params):
    """Parameters of ``shap.explain``."""

    model: Annotated[Model, Field(description="The model to explain.")]
    table: Annotated[Table, Field(description="Rows with the model's features.")]
    rows: Annotated[
        int,
        Budget("rows"),
        Field(
            ge=1,
            le=100_000,
            description="Number of rows to explain, sampled evenly from the table by the seed. 100,000 rows of "
            "50 features take minutes; a few thousand are enough for stable importances.",
        ),
    ] = 1000
    background: Annotated[
        Table | None,
        Field(description="Linear models: rows to average absent features over; null: all rows of `table`."),
    ] = None
    plots: Annotated[
        bool, Field(description="Draw a bar chart, a beeswarm plot and the dependence on the top features.")
    ] = True
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the choice of rows; null: the run's seed.")
    ] = None


class ExplainOutputs(Outputs):
    """Outputs of ``shap.explain``. Values are in the model's margin: log-odds for classifiers that have them."""

    values: Annotated[
        Table,
        Field(
            description="One row per explained row: `row` (its number in the table), one column per feature, "
            "`expected_value` and `margin`. The values of the features and the expected value add up to the "
            "margin. More than two classes: one row per row and class, with the column `class`. "
            "Where a feature has one of these names, the other column has an underscore after it."
        ),
    ]
    expected_value: Annotated[
        float | list[float], Field(description="Mean margin, the base of the values; a list for several classes.")
    ]
    importance: Annotated[
        dict[str, float], Field(description="Share of each feature in the mean absolute values, largest first.")
    ]
    report: Annotated[Report, Field(description="One HTML page with the importances and, if requested, the plots.")]


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
    settings=SHAPSettings,
    distribution="shap",
    extra="shap",
    imports=("pandas", "xgboost", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
