"""Declare the actions that look where a model is wrong: ``model.errors`` and ``model.fairness``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.names import ColumnName
from e2i.tools.model.disparities import DISPARITIES
from e2i.tools.model.params.fields import (
    CONFIDENCE,
    LIBRARIES,
    Group,
    JudgedTable,
    Level,
    Positive,
    Seed,
    Threshold,
)

RowMetric = Literal["log_loss", "brier", "accuracy", "mae", "rmse"]
"""Metrics that are means over rows."""


class InspectParams(Params):
    """Parameters of every action that judges one model in parts of a table."""

    model: Annotated[Model, Field(description="The model to judge.")]
    table: JudgedTable
    threshold: Threshold = None
    positive: Positive = None
    interval: Level = 0.95
    group: Group = None
    plots: Annotated[bool, Field(description="Add plots to the report.")] = True
    seed: Seed = None


class ErrorsParams(InspectParams):
    """Parameters of ``model.errors``."""

    columns: Annotated[
        tuple[ColumnName, ...] | None,
        Field(min_length=1, description="Columns that describe slices; null: the model's features."),
    ] = None
    metric: Annotated[RowMetric | None, Field(description="Metric of the error; null: log_loss or mae.")] = None
    depth: Annotated[int, Field(ge=1, le=5, description="Most conditions of a slice.")] = 3
    min_rows: Annotated[int, Field(ge=20, description="Fewest rows of a slice.")] = 50
    slices: Annotated[int, Field(ge=1, le=32, description="Most slices to report, the worst ones.")] = 10


class ErrorsOutputs(Outputs):
    """Outputs of ``model.errors``."""

    conclusion: Annotated[str, Field(description="The worst slice, in a plain sentence.")]
    slices: Annotated[
        Table,
        Field(
            description="A row for each slice, the worst first: `slice`, its conditions; `rows` and `share` of the "
            "table; `judged`, the rows that the figures are of; `metric`, `estimate`, `low` and `high`; `rest`, the "
            "metric of the other judged rows; `worse`, whether the interval of the difference is wholly worse."
        ),
    ]
    report: Annotated[Report, Field(description="One HTML page with the slices and a plot.")]


class FairnessParams(InspectParams):
    """Parameters of ``model.fairness``."""

    by: Annotated[
        tuple[ColumnName, ...],
        Field(min_length=1, max_length=10, description="Columns whose groups are compared, each on its own."),
    ]
    min_rows: Annotated[int, Field(ge=1, description="Groups of fewer rows are not compared.")] = 30
    at_least: Annotated[
        Mapping[str, float],
        Field(description="Lowest acceptable ratios, such as {demographic_parity_ratio: 0.8}, with `confidence` too."),
    ] = {}
    at_most: Annotated[
        Mapping[str, float],
        Field(
            description="Highest acceptable differences, such as {equal_opportunity_difference: 0.1, confidence: 0.9}: "
            "the step fails when one is exceeded; with `confidence`, when the upper bound exceeds it."
        ),
    ] = {}

    @model_validator(mode="after")
    def _limits_of_disparities(self) -> Self:
        for name, is_ratio in (("at_least", True), ("at_most", False)):
            limits: Mapping[str, float] = getattr(self, name)
            able = [disparity for disparity, known in DISPARITIES.items() if known.is_ratio == is_ratio]
            for disparity, value in limits.items():
                if disparity == CONFIDENCE:
                    if not 0.5 < value < 1:
                        raise ValueError(f"{name}.{CONFIDENCE} must be between 0.5 and 1, not {value:g}")
                elif disparity not in able:
                    raise ValueError(f"{name} takes {', '.join(able)} and {CONFIDENCE}, not {disparity}")
        return self


class FairnessOutputs(Outputs):
    """Outputs of ``model.fairness``."""

    worst: Annotated[
        dict[str, float],
        Field(
            description="Each disparity of the column where it is worst. Two classes: demographic_parity_difference, "
            "_ratio (of the shares classified as positive), equal_opportunity_difference (of the true positive rates), "
            "equalized_odds_difference and _ratio (the worse of true and false positive rates), precision_difference. "
            "All classes: accuracy_difference. Regression: mae_difference, mae_ratio, mean_error_difference."
        ),
    ]
    disparities: Annotated[
        Table,
        Field(
            description="A row for each column and disparity: `by`, `metric`, `estimate`, `low`, `high`, and the "
            "groups with the `lowest` and the `highest` value."
        ),
    ]
    groups: Annotated[
        Table,
        Field(description="A row for each group and rate: `by`, `value`, `rows`, `metric`, `estimate`, `low`, `high`."),
    ]
    report: Annotated[Report, Field(description="One HTML page with the groups and plots.")]


ACTIONS = (
    Action(
        "errors",
        "Finds the slices of a table in which a model is worst.",
        ErrorsParams,
        ErrorsOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="inspecting_columns",
        version=2,
    ),
    Action(
        "fairness",
        "Compares groups by how a model treats them, and fails beyond limits.",
        FairnessParams,
        FairnessOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns="inspecting_columns",
        gate=True,
        version=2,
    ),
)
