"""Declare the action that compares models: ``model.compare``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Report, Table
from e2i.estimators.metrics import MetricChoice
from e2i.tools.model.params.choosing import Candidates
from e2i.tools.model.params.fields import LIBRARIES, Group, JudgedTable, Level, Positive, Seed, Threshold


class CompareParams(Params):
    """Parameters of ``model.compare``."""

    models: Annotated[
        Candidates,
        Field(min_length=2, description="Models, in the forms of `candidates` of model.select: at least two."),
    ]
    table: JudgedTable
    reference: Annotated[
        str | None, Field(min_length=1, description="Name of the model that the others are compared with; null: first.")
    ] = None
    metric: Annotated[MetricChoice | None, Field(description="Metric that decides; null: roc_auc or rmse.")] = None
    threshold: Threshold = None
    positive: Positive = None
    interval: Level = 0.95
    group: Group = None
    plots: Annotated[bool, Field(description="Add a plot of the differences to the report.")] = True
    seed: Seed = None


class CompareOutputs(Outputs):
    """Outputs of ``model.compare``."""

    conclusion: Annotated[str, Field(description="The comparison by the metric that decides, in plain sentences.")]
    better: Annotated[
        list[str], Field(description="Models whose interval of the difference lies wholly on the better side.")
    ]
    worse: Annotated[
        list[str], Field(description="Models whose interval of the difference lies wholly on the worse side.")
    ]
    metrics: Annotated[dict[str, dict[str, float]], Field(description="The metrics of each model, by its name.")]
    differences: Annotated[
        Table,
        Field(
            description="A row for each model but the reference, and each metric: `model`, `reference`, `metric`, "
            "`value`, `reference_value`, `difference`, `low`, `high` and `better_share`, the share of resamples in "
            "which the model is better. With several models the intervals are wider, so that all of them hold at "
            "the level together."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the conclusion, metrics and differences.")]


ACTIONS = (
    Action(
        "compare",
        "Compares models on the same rows, with intervals of the differences.",
        CompareParams,
        CompareOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="comparing_columns",
        version=2,
    ),
)
