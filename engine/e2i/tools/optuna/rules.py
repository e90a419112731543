"""Declare the rules of a search: its metrics, which trial is the best, and when it stops. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.estimators.metrics import MetricChoice

Direction = Literal["maximize", "minimize"]
Bounds = Annotated[dict[MetricChoice, float], Field(default_factory=dict)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


class Goal(_Part):
    """One of several metrics to search by."""

    name: Annotated[MetricChoice, Field(description="The metric.")]
    direction: Annotated[
        Direction | None, Field(description="maximize or minimize; null: derived from the metric.")
    ] = None


class Knee(_Part):
    """Take the trial at the knee of the Pareto front."""

    rule: Annotated[
        Literal["knee"], Field(description="The trial that lies farthest from the line through the ends of the front.")
    ]


class Weights(_Part):
    """Take the trial with the best weighted sum."""

    rule: Annotated[
        Literal["weights"],
        Field(description="The largest weighted sum of scores: 0 at the worst value of the front, 1 at the best."),
    ]
    weights: Annotated[
        dict[MetricChoice, Annotated[float, Field(ge=0)]],
        Field(min_length=1, description="Weight of each metric; one that is left out has none."),
    ]

    @model_validator(mode="after")
    def _some_weight(self) -> Weights:
        if not any(self.weights.values()):
            raise ValueError("every weight is 0; give a metric a weight above 0")
        return self


class Constraint(_Part):
    """Take the best trial by one metric among those that meet bounds of others."""

    rule: Annotated[Literal["constraint"], Field(description="The best by one metric within bounds of others.")]
    best: Annotated[MetricChoice, Field(description="The metric that decides among the trials within the bounds.")]
    at_least: Annotated[Bounds, Field(description="Lower bounds, such as `{recall: 0.8}`.")]
    at_most: Annotated[Bounds, Field(description="Upper bounds, such as `{log_loss: 0.5}`.")]

    @model_validator(mode="after")
    def _some_bound(self) -> Constraint:
        if not self.at_least and not self.at_most:
            raise ValueError("a constraint needs a bound in `at_least` or `at_most`")
        return self


Choose = Annotated[Knee | Weights | Constraint, Field(discriminator="rule")]


class Stopping(_Part):
    """When to start no more trials."""

    no_improvement: Annotated[
        int | None,
        Field(
            ge=1,
            description="Number of trials one after the other that did not improve the best value; with several "
            "metrics, that did not enter the Pareto front.",
        ),
    ] = None
    target: Annotated[
        float | dict[MetricChoice, float] | None,
        Field(
            description="Value of the metric to reach; with several metrics, values by metric, all met by one trial."
        ),
    ] = None

    @model_validator(mode="after")
    def _some_rule(self) -> Stopping:
        if self.no_improvement is None and (self.target is None or self.target == {}):
            raise ValueError("set `no_improvement`, `target`, or both")
        return self
