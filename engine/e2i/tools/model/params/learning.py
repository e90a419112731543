"""Declare the action that shows what more rows would bring: ``model.learning_curve``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs
from e2i.catalog.artifacts import Report, Table
from e2i.catalog.marks import Budget
from e2i.catalog.names import ColumnName
from e2i.estimators.metrics import MetricChoice
from e2i.tools.model.params.fields import LIBRARIES
from e2i.tools.model.params.training import FittedParams

Share = Annotated[float, Field(gt=0, le=1)]


class LearningCurveParams(FittedParams):
    """Parameters of ``model.learning_curve``: those of ``model.train``, and how to judge."""

    held_out: Annotated[Table, Field(description="Rows that no model is trained on, to judge each model by.")]
    shares: Annotated[
        tuple[Share, ...],
        Field(min_length=2, max_length=20, description="Shares of the training rows, in rising order."),
    ] = (0.1, 0.25, 0.5, 0.75, 1.0)
    repeats: Annotated[
        int, Budget("trials"), Field(ge=1, le=50, description="Draws of the rows of each share below 1.")
    ] = 5
    metric: Annotated[
        MetricChoice | None, Field(description="Metric of the plot and the conclusion; null: roc_auc or rmse.")
    ] = None
    group: Annotated[
        ColumnName | None,
        Field(description="Column of the entity, whose rows are drawn together; null: rows are drawn one by one."),
    ] = None
    plots: Annotated[bool, Field(description="Add the plot to the report.")] = True


class LearningCurveOutputs(Outputs):
    """Outputs of ``model.learning_curve``."""

    conclusion: Annotated[str, Field(description="Whether more rows are likely to help, in plain sentences.")]
    curve: Annotated[
        Table,
        Field(
            description="A row for each share and metric: `share`, `rows`, `fits`, `metric`, the means `train` and "
            "`held_out`, and their standard deviations over the draws, `train_sd` and `held_out_sd`."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the plot and the table.")]


ACTIONS = (
    Action(
        "learning_curve",
        "Fits a model to growing shares of the rows, and judges each fit.",
        LearningCurveParams,
        LearningCurveOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="learning_columns",
        version=3,
    ),
)
