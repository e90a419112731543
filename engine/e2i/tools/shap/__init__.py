"""The SHAP tool: explain models. In: a model and rows. Out: SHAP values, feature importance, and plots.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import EffectModel, Model, Report, Table
from e2i.catalog.marks import Budget, Changing, Privilege, Reaches


class SHAPSettings(ToolSettings):
    """SHAPSettings of explanations."""

    deadline: Annotated[float, Field(gt=0, description="Timeout of one explanation, in seconds.")] = 3600.0
    background_rows: Annotated[
        int,
        Field(
            ge=2,
            le=10_000,
            description="Rows that absent features are averaged over, by explainers that only ask for predictions.",
        ),
    ] = 100
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Seed of the choice of these rows.")] = 0


class Instances(BaseModel):
    """Rows to explain, by their key."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    by: Annotated[str, Field(min_length=1, description="Column that identifies rows, such as a customer's id.")]
    keys: Annotated[
        Sequence[StrictStr | StrictInt],
        Field(min_length=1, max_length=1000, description="Its values. Every row that has one of them is explained."),
    ]


def _stays_inside(uri: str) -> str:
    """Refuses a path that could lead out of the run's or the model's own artifacts, also percent-encoded."""
    if ".." in uri.split("/") or "%" in uri or "\\" in uri:
        raise ValueError("the path leads out of what MLflow keeps for it: no `..`, `%` and backslash")
    return uri


class LoggedModel(BaseModel):
    """A model in MLflow that e2i did not train, as its Python function. Loading it runs its own code."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    uri: Annotated[
        str,
        Privilege("run_python", "*"),
        Changing(),
        Reaches("mlflow"),
        AfterValidator(_stays_inside),
        Field(
            pattern=r"^(models:/[^/@]{1,250}(/[1-9][0-9]{0,8})?|runs:/[A-Za-z0-9]{1,64}/[^?#]{1,500})$",
            description="`models:/NAME/VERSION`, `models:/MODEL_ID` or `runs:/RUN/PATH`. Always explained again.",
        ),
    ]
    features: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=500)], ...],
        Field(min_length=1, max_length=1000, description="Columns of the table that the model takes, in its order."),
    ]


class ExplainParams(Params):
    """Parameters of ``shap.explain``."""

    model: Annotated[
        Model | EffectModel | LoggedModel,
        Field(
            description="The model to explain, also that of `causal.estimate`: what makes its effects differ. Or any "
            "model in MLflow, as {uri, features}: it is only asked for predictions."
        ),
    ]
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
    instances: Annotated[
        Instances | None,
        Field(description="Explain these rows instead of a sample, in the order of the keys; at most `rows`."),
    ] = None
    explainer: Annotated[
        Literal["auto", "tree", "linear", "permutation", "kernel", "exact"],
        Field(
            description="`auto`: the exact one of the algorithm, `tree` or `linear`. `permutation`, `kernel` and "
            "`exact` (at most 12 features) only ask for predictions, against `background`: they suit every algorithm, "
            "and take longer."
        ),
    ] = "auto"
    interactions: Annotated[
        bool,
        Field(
            description="Also compute the interaction of each pair of features, with `tree`, `linear` or `exact`. The "
            "time grows with the square of the number of features."
        ),
    ] = False
    interaction_rows: Annotated[
        int,
        Budget("rows"),
        Field(ge=1, le=10_000, description="Number of explained rows whose interactions are computed: the first."),
    ] = 200
    background: Annotated[
        Table | None,
        Field(description="Rows to average absent features over, except by `tree`; null: the rows of `table`."),
    ] = None
    plots: Annotated[
        bool,
        Field(
            description="Draw a bar chart, a beeswarm plot, the dependence on the top features, a waterfall for single "
            "rows, and the interactions."
        ),
    ] = True
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the choice of rows; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _has_interactions(self) -> ExplainParams:
        if self.interactions and self.explainer in ("permutation", "kernel"):
            raise ValueError(f"`interactions` need the explainer tree, linear or exact, not {self.explainer}")
        if isinstance(self.model, LoggedModel) and self.explainer in ("tree", "linear"):
            raise ValueError(
                f"a model by `uri` is only asked for predictions, so the explainer is not {self.explainer}"
            )
        if isinstance(self.model, LoggedModel) and self.interactions and self.explainer != "exact":
            raise ValueError("`interactions` of a model by `uri` need `explainer: exact`")
        return self


class ExplainOutputs(Outputs):
    """Outputs of ``shap.explain``. Values are in the model's margin: log-odds for classifiers that have them.

    The margin of an effect model is the effect.
    """

    values: Annotated[
        Table,
        Field(
            description="One row per explained row: `row` (its number in the table), `class`, one column per feature, "
            "`expected_value` and `margin`. The values of the features and the expected value add up to the margin. "
            "With `instances`, their key is the second column. "
            "`class`, a text: null for regression, of two classes the positive one; of more classes, each has a row. "
            "Where a feature has one of these names, the other column has an underscore after it."
        ),
    ]
    expected_value: Annotated[
        float | list[float], Field(description="Mean margin, the base of the values; a list for several classes.")
    ]
    importance: Annotated[
        dict[str, float], Field(description="Share of each feature in the mean absolute values, largest first.")
    ]
    explainer: Annotated[str, Field(description="The explainer that was used.")]
    standard_error: Annotated[
        float | None,
        Field(description="Largest standard error of a value, which `permutation` estimates; null: exact values."),
    ]
    interactions: Annotated[
        Table | None,
        Field(
            description="One row per explained row and feature: `row`, `class`, `feature`, and a column for each "
            "feature that it interacts with. These columns add up to the feature's value; its own has the rest of its "
            "effect. Null unless requested."
        ),
    ]
    figures: Annotated[
        Mapping[str, Report], Field(description="The plots by name, such as `bar` or `waterfall_1`: PNG files.")
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
            version=3,
            libraries=("shap", "xgboost", "lightgbm", "catboost", "scikit-learn", "econml", "numpy", "pandas"),
            columns=True,
        ),
    ),
    settings=SHAPSettings,
    distribution="shap",
    extra="shap",
    imports=("pandas", "xgboost", "matplotlib.backends.backend_agg", "matplotlib.figure"),
    asks=("mlflow",),
)
