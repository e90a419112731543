"""Declare the action that shows what one hyperparameter does: ``model.validation_curve``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs
from e2i.catalog.artifacts import Report, Table
from e2i.catalog.marks import Budget
from e2i.estimators.metrics import MetricChoice
from e2i.tools.model.params.fields import LIBRARIES, Group, Level, Scalar
from e2i.tools.model.params.training import FittedParams, Parameter


class ValidationCurveParams(FittedParams):
    """Parameters of ``model.validation_curve``: those of ``model.train``, and which hyperparameter is varied."""

    held_out: Annotated[Table, Field(description="Rows that no model is trained on, to judge each model by.")]
    parameter: Annotated[Parameter, Field(description="The hyperparameter to vary; `params` are the others.")]
    values: Annotated[
        tuple[Scalar, ...],
        Budget("trials"),
        Field(min_length=2, max_length=50, description="Its values, in the order of the curve."),
    ]
    metric: Annotated[
        MetricChoice | None, Field(description="Metric of the plot and the conclusion; null: roc_auc or rmse.")
    ] = None
    interval: Level = 0.95
    group: Group = None
    plots: Annotated[bool, Field(description="Add the plot to the report.")] = True


class ValidationCurveOutputs(Outputs):
    """Outputs of ``model.validation_curve``."""

    conclusion: Annotated[
        str, Field(description="Which value is best, and which are not clearly worse, in plain sentences.")
    ]
    best: Annotated[Scalar, Field(description="The value with the best metric on the held-out rows.")]
    curve: Annotated[
        Table,
        Field(
            description="A row for each value and metric: `value` as text, `metric`, `train`, `held_out`, its "
            "bootstrap interval `low` and `high`, and `worse_share`, the share of paired resamples in which the value "
            "is worse than the best one."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the plot and the table.")]


ACTIONS = (
    Action(
        "validation_curve",
        "Fits a model with each of several values of a hyperparameter, and judges each fit.",
        ValidationCurveParams,
        ValidationCurveOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="validating_columns",
    ),
)
