"""Declare ``causal.front_door``: an effect that goes through measured mediators alone."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Table
from e2i.tools.causal.basics import LIBRARIES, ColumnName, Estimate, Label, Level, Seed
from e2i.tools.causal.designs import Checks, Group, OnFailure, Page
from e2i.tools.causal.estimating import Nuisance


class FrontDoorParams(Params):
    """Parameters of ``causal.front_door``."""

    table: Annotated[Table, Field(description="One row per unit.")]
    treatment: Annotated[ColumnName, Field(description="What was done: two values.")]
    outcome: Annotated[ColumnName, Field(description="The number that the treatment may change.")]
    mediators: Annotated[
        tuple[ColumnName, ...],
        Field(
            min_length=1,
            description="Columns through which the treatment changes the outcome, and in no other way. What is common "
            "to treatment and outcome must not change them by itself.",
        ),
    ]
    confounders: Annotated[
        tuple[ColumnName, ...],
        Field(description="Measured causes that the mediators share with the treatment or the outcome."),
    ] = ()
    graph: Annotated[
        tuple[ColumnName, ...],
        Field(description="A causal graph as in causal.estimate. Other mediators than a front door are a problem."),
    ] = ()
    unmeasured: Annotated[tuple[ColumnName, ...], Field(description="Names in the graph that are no columns.")] = ()
    control: Annotated[Label | None, Field(description="The value of untreated rows; null: the first in order.")] = None
    treated: Annotated[Label | None, Field(description="The value of treated rows; null: the last in order.")] = None
    outcome_model: Annotated[
        Nuisance | None, Field(description="Model of the outcome, of numbers. null: LightGBM with shallow trees.")
    ] = None
    treatment_model: Annotated[Nuisance | None, Field(description="Model of the treatment. null: the same.")] = None
    folds: Annotated[int, Field(ge=2, le=20, description="Parts for cross-fitting.")] = 5
    most_outside: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Fails when a larger share of rows has mediators that almost tell the treatment (a probability "
            "below 0.05 or above 0.95).",
        ),
    ] = 0.1
    on_failure: OnFailure = "warn"
    group: Group = None
    level: Level = 0.95
    seed: Seed = None

    @model_validator(mode="after")
    def _roles(self) -> Self:
        names = [self.treatment, self.outcome, *self.mediators, *self.confounders]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f'"{twice}" has two roles')
        if self.unmeasured and not self.graph:
            raise ValueError("`unmeasured` are names in the `graph`, and there is none")
        return self


class FrontDoorOutputs(Outputs):
    """Outputs of ``causal.front_door``."""

    effect: Annotated[Estimate, Field(description="Average effect of the treatment through the mediators.")]
    naive: Annotated[Estimate, Field(description="The difference of means, without any design.")]
    outside: Annotated[float, Field(description="Share of rows whose mediators almost tell the treatment.")]
    passed: Annotated[bool, Field(description="True when no check failed.")]
    checks: Checks
    report: Page


ACTIONS = (
    Action(
        "front_door",
        "Estimates an effect that goes through measured mediators alone, where a common cause is not measured.",
        FrontDoorParams,
        FrontDoorOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
        gate=True,
        question=True,
    ),
)
