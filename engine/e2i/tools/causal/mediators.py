"""Declare ``causal.front_door``: an effect that goes through measured mediators alone."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.tools.causal.basics import LIBRARIES, Estimate, Label, Level
from e2i.tools.causal.designs import Checks, Group, OnFailure, Page
from e2i.tools.causal.estimating import Nuisance


class FrontDoorParams(Params):
    """Parameters of ``causal.front_door``."""

    table: Annotated[Table, Field(description="One row per unit.")]
    treatment: Annotated[ColumnName, Field(description="What was done: two values.")]
    outcome: Annotated[ColumnName, Field(description="A number that it may change.")]
    mediators: Annotated[
        tuple[ColumnName, ...],
        Field(
            min_length=1,
            description="Columns through which alone the treatment changes the outcome.",
        ),
    ]
    confounders: Annotated[
        ColumnNames,
        Field(description="Causes that mediators share with treatment or outcome."),
    ] = ()
    graph: Annotated[
        ColumnNames,
        Field(description="As in causal.estimate. Mediators that are no front door are a problem."),
    ] = ()
    unmeasured: Annotated[ColumnNames, Field(description="Names that are no columns.")] = ()
    control: Annotated[Label | None, Field(description="Value of untreated rows; null: the first.")] = None
    treated: Annotated[Label | None, Field(description="Value of treated rows; null: the last.")] = None
    outcome_model: Annotated[Nuisance | None, Field(description="Model of the outcome; null: LightGBM.")] = None
    treatment_model: Annotated[Nuisance | None, Field(description="Model of the treatment; null: LightGBM.")] = None
    on_failure: OnFailure = "warn"
    group: Group = None
    level: Level = 0.95

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

    effect: Annotated[Estimate, Field(description="Average effect through the mediators.")]
    naive: Annotated[Estimate, Field(description="The difference of means.")]
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
