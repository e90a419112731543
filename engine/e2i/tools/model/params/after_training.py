"""Declare the actions that follow training: ``model.calibrate``, ``model.threshold`` and ``model.conformal``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.names import ColumnName
from e2i.estimators.calibrating import Method
from e2i.tools.model.params.costs import Costs
from e2i.tools.model.params.fields import LIBRARIES

ThresholdMetric = Literal["accuracy", "balanced_accuracy", "f1", "precision", "recall"]
Limited = Literal["accuracy", "balanced_accuracy", "f1", "precision", "recall", "positive_rate"]
LIMIT = r"^(>=|<=) *(0(\.\d+)?|1(\.0*)?|\.\d+)$"


def _bounded(value: object) -> object:
    """Return the value. Raises ValueError for what is no limit."""
    if re.match(LIMIT, str(value)) is None:
        raise ValueError(f'a limit is >= or <= with a number from 0 to 1, such as ">=0.8", not {value!r}')
    return value


Limit = Annotated[str, Field(pattern=LIMIT), BeforeValidator(_bounded)]
Held = Annotated[
    Table, Field(description="Rows with the target that the model was not trained on, and that do not evaluate it.")
]


class CalibrateParams(Params):
    """Parameters of ``model.calibrate``."""

    model: Annotated[Model, Field(description="A model of classes, without threshold or intervals.")]
    table: Held
    method: Annotated[
        Method,
        Field(
            description="sigmoid (Platt): two numbers for each class, for few rows. isotonic: a staircase, for about "
            "1,000 rows of each class and more. temperature: one number, which keeps the order of the classes."
        ),
    ] = "sigmoid"
    bins: Annotated[
        int, Field(ge=2, le=100, description="Most bins of the calibration error and the plot, of equal rows.")
    ] = 10


class CalibrateOutputs(Outputs):
    """Outputs of ``model.calibrate``."""

    model: Annotated[Model, Field(description="The calibrated model.")]
    metrics: Annotated[
        dict[str, float],
        Field(
            description="`before_NAME` and `after_NAME` of ece (expected calibration error), brier and log_loss. Those "
            "after are of five parts of the rows, each calibrated by the others."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the figures and the calibration curves.")]


class ThresholdParams(Params):
    """Parameters of ``model.threshold``."""

    model: Annotated[Model, Field(description="The model, of two classes.")]
    table: Held
    metric: Annotated[ThresholdMetric | None, Field(description="The metric to maximise. null: `costs`.")] = None
    costs: Annotated[
        Costs | None,
        Field(description="Costs of the outcomes, such as {fp: 10, fn: lost_revenue}. null: `metric`."),
    ] = None
    constraint: Annotated[
        Mapping[Limited, Limit],
        Field(
            description='Limits that the threshold must keep, such as {recall: ">=0.8"}. positive_rate is the share of '
            "the rows that are decided as positive."
        ),
    ] = {}

    @model_validator(mode="after")
    def _one_aim(self) -> Self:
        if (self.metric is None) == (self.costs is None):
            raise ValueError(f"set `metric`, one of {', '.join(get_args(ThresholdMetric))}, or `costs`, and not both")
        if self.costs is not None and (self.costs.tp, self.costs.fp) == (self.costs.fn, self.costs.tn):
            raise ValueError("`costs` are the same whatever is decided: set fp, fn or both")
        return self


class ThresholdOutputs(Outputs):
    """Outputs of ``model.threshold``."""

    model: Annotated[Model, Field(description="The model with its threshold, which predictions and services use.")]
    threshold: Annotated[float, Field(description="Probability from which a row is decided as positive.")]
    metrics: Annotated[
        dict[str, float],
        Field(
            description="Figures at the threshold, and as `half_NAME` at 0.5: accuracy, balanced_accuracy, f1, "
            "precision, recall, positive_rate and, with `costs`, cost, the mean per row."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the figures and the curve of costs or metrics.")]


class ConformalParams(Params):
    """Parameters of ``model.conformal``."""

    model: Annotated[Model, Field(description="The model.")]
    table: Held
    method: Annotated[
        Literal["residual", "cqr"],
        Field(
            description="residual: intervals around the prediction, or sets of classes by their probabilities. cqr "
            "(conformalised quantile regression): intervals from `lower` to `upper`, whose width differs by the row."
        ),
    ] = "residual"
    lower: Annotated[
        Model | None, Field(description="Of cqr: a model of a low quantile, such as 0.05, by features of the model.")
    ] = None
    upper: Annotated[
        Model | None, Field(description="Of cqr: a model of a high quantile, such as 0.95, by features of the model.")
    ] = None
    level: Annotated[
        float, Field(gt=0, lt=1, description="Share of new rows whose interval or set contains the truth.")
    ] = 0.9
    by: Annotated[
        ColumnName | None,
        Field(
            description="A feature of the model: the level then holds for each of its values that has enough rows. "
            "Other values get the quantile of all rows. null: for all rows together."
        ),
    ] = None

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        given = [name for name in ("lower", "upper") if getattr(self, name) is not None]
        if len(given) != (2 if self.method == "cqr" else 0):
            raise ValueError("set `lower` and `upper`, two models of quantiles, with `method: cqr`, and only with it")
        return self


class ConformalOutputs(Outputs):
    """Outputs of ``model.conformal``."""

    model: Annotated[Model, Field(description="The model with its intervals, for `intervals: true` of model.predict.")]
    quantile: Annotated[
        float,
        Field(
            description="Quantile over all rows of absolute residuals, of 1 minus the probability of the truth, or of "
            "the distance outside of `lower` and `upper`, negative inside."
        ),
    ]
    quantiles: Annotated[dict[str, float], Field(description="The quantile of each value of `by` with enough rows.")]


ACTIONS = (
    Action(
        "calibrate",
        "Calibrates the probabilities of a model on held-out rows.",
        CalibrateParams,
        CalibrateOutputs,
        libraries=(*LIBRARIES, "scipy", "matplotlib"),
        columns="after_columns",
    ),
    Action(
        "threshold",
        "Chooses the threshold of a model of two classes, by costs or a metric.",
        ThresholdParams,
        ThresholdOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="after_columns",
        version=3,
    ),
    Action(
        "conformal",
        "Fits prediction intervals, or sets of classes, that contain the truth as often as a level says.",
        ConformalParams,
        ConformalOutputs,
        libraries=LIBRARIES,
        columns="after_columns",
        version=2,
    ),
)
