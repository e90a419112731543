"""Declare the actions that judge models: ``model.evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.names import ColumnName
from e2i.estimators.details import JUDGED
from e2i.tools.model.decisions import DIRECTIONS
from e2i.tools.model.params.costs import Costs
from e2i.tools.model.params.fields import CONFIDENCE, LIBRARIES, Label, Threshold


class EvaluateParams(Params):
    """Parameters of ``model.evaluate``."""

    model: Annotated[Model, Field(description="The model to evaluate.")]
    table: Annotated[Table, Field(description="Rows with the target that the model was not trained on.")]
    threshold: Threshold = None
    positive: Annotated[Label | None, Field(description="The positive class, of two; null: that of the model.")] = None
    interval: Annotated[
        float | None, Field(gt=0.5, lt=1, description="Level of the bootstrap intervals; null: no intervals.")
    ] = 0.95
    at_least: Annotated[
        Mapping[str, float],
        Field(
            description="Lowest acceptable values, such as {roc_auc: 0.6, confidence: 0.95}. With `confidence`, the "
            "lower bound of the interval of that level must reach them, otherwise the metric itself. The step fails "
            "when one is not reached."
        ),
    ] = {}
    at_most: Annotated[
        Mapping[str, float],
        Field(
            description="Highest acceptable values of log_loss, brier, rmse, mae, mape, pinball, cost, width and "
            "set_size."
        ),
    ] = {}
    group: Annotated[
        ColumnName | None,
        Field(
            description="Column of the entity or the day, whose rows are drawn together for the intervals; null: "
            "rows are drawn one by one."
        ),
    ] = None
    by: Annotated[
        tuple[ColumnName, ...],
        Field(
            max_length=10,
            description="Columns by whose values the metrics are also computed; numbers are cut at their quartiles.",
        ),
    ] = ()
    quantile: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Quantile that a regression predicts: adds pinball, share_below."),
    ] = None
    costs: Annotated[
        Costs | None,
        Field(description="Costs of the outcomes, as in model.threshold: adds `cost`, the mean per row. null: none."),
    ] = None
    plots: Annotated[bool, Field(description="Add curves and the confusion matrix to the report.")] = True
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the intervals; null: the run's seed.")
    ] = None

    @model_validator(mode="after")
    def _limits_of_metrics(self) -> Self:
        for name, direction in (("at_least", "maximize"), ("at_most", "minimize")):
            limits: Mapping[str, float] = getattr(self, name)
            able = [metric for metric, known in JUDGED.items() if known.direction == direction]
            able += [metric for metric, known in DIRECTIONS.items() if known == direction]
            for metric, value in limits.items():
                if metric == CONFIDENCE:
                    if not 0.5 < value < 1:
                        raise ValueError(f"{name}.{CONFIDENCE} must be between 0.5 and 1, not {value:g}")
                elif metric not in able:
                    raise ValueError(f"{name} takes {', '.join(able)} and {CONFIDENCE}, not {metric}")
        return self


class Interval(BaseModel):
    """Bootstrap interval of a metric."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    low: Annotated[float, Field(description="Lower bound.")]
    high: Annotated[float, Field(description="Upper bound.")]


class EvaluateOutputs(Outputs):
    """Outputs of ``model.evaluate``."""

    metrics: Annotated[
        dict[str, float],
        Field(
            description="Classification: roc_auc, average_precision, log_loss, brier, accuracy, f1, precision, "
            "recall, prevalence. For more than two classes the mean over all classes, and also f1_weighted, "
            "roc_auc_micro, average_precision_micro, top_2_accuracy, top_3_accuracy and top_5_accuracy. Regression: "
            "rmse, mae, r2, mape; with `quantile` pinball and share_below, the share of rows at or below it. With "
            "`costs`: cost, the mean per row. Of a model with intervals: coverage, the share of the rows whose "
            "interval or set contains the truth, and width or set_size, their mean. Undefined ones are left out."
        ),
    ]
    intervals: Annotated[
        dict[str, Interval], Field(description="The bootstrap interval of each metric; empty without `interval`.")
    ]
    baseline: Annotated[
        dict[str, float],
        Field(
            description="The same metrics of a constant answer: the training shares of the classes, or the training "
            "mean. A warning names each metric in which the model is worse."
        ),
    ]
    positive: Annotated[
        str | None, Field(description="The positive class of the metrics; null unless there are two classes.")
    ]
    slices: Annotated[
        Table,
        Field(
            description="A row for each slice of `by` and each metric: `by`, `value`, `rows`, `metric`, `estimate`, "
            "`low` and `high`. Slices of fewer than ten rows or groups have no intervals. Empty without `by`."
        ),
    ]
    classes: Annotated[
        Table,
        Field(
            description="Of more than two classes, a row for each class and metric, the class against the rest: "
            "`class`, `rows`, `decided`, the rows that are decided as it, `metric`, `estimate`, `low` and `high`."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the metrics, plots, classes and slices.")]


ACTIONS = (
    Action(
        "evaluate",
        "Evaluates a model on rows that it was not trained on.",
        EvaluateParams,
        EvaluateOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="judging_columns",
        version=5,
    ),
)
