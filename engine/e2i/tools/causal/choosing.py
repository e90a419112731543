"""Declare ``causal.policy``: whom to treat, given a budget and what treating costs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import EffectModel, Report, Table
from e2i.catalog.names import ColumnName, ColumnNames
from e2i.tools.causal.basics import LIBRARIES, Estimate, Level, Seed


class Budget(BaseModel):
    """The most that may be spent on the rows of ``table``: one of the three, or none for no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    share: Annotated[float | None, Field(gt=0, le=1, description="Largest share of rows to treat.")] = None
    rows: Annotated[int | None, Field(ge=1, description="Largest number of rows to treat.")] = None
    cost: Annotated[float | None, Field(gt=0, description="Largest sum of `cost` of the treated rows.")] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.share, self.rows, self.cost)) > 1:
            raise ValueError("a budget is a share, a number of rows or a cost, not several of them")
        return self


class PolicyParams(Params):
    """Parameters of ``causal.policy``."""

    model: Annotated[EffectModel, Field(description="The effect model.")]
    table: Annotated[Table, Field(description="Rows to decide about, with the effect modifiers.")]
    held_out: Annotated[
        Table,
        Field(
            description="Rows with treatment, outcome and all columns of the question, that neither the model nor the "
            "tree has seen. The policy's value is that on these rows."
        ),
    ]
    cost: Annotated[
        float | ColumnName,
        Field(description="What treating a row costs, in units of the outcome: a number, or a column of every table."),
    ] = 0.0
    budget: Annotated[Budget, Field(description="The most that may be spent.")] = Budget()
    direction: Annotated[
        Literal["maximize", "minimize"], Field(description="Whether a larger outcome is better, or a smaller one.")
    ] = "maximize"
    method: Annotated[
        Literal["greedy", "tree"],
        Field(
            description="greedy: the rows with the largest predicted effect net of cost. tree: all rows of a few "
            "groups, which one or two splits by modifiers describe."
        ),
    ] = "greedy"
    learn_from: Annotated[
        Table | None,
        Field(description="Rows that the tree is learned from, such as those that the model was estimated on."),
    ] = None
    depth: Annotated[int, Field(ge=1, le=2, description="Splits from the tree's root to a group.")] = 2
    min_group: Annotated[float, Field(gt=0, lt=0.5, description="Smallest group, as a share of `learn_from`.")] = 0.05
    keep: Annotated[
        ColumnNames | None, Field(description="Columns to copy to the decisions; null: all of `table`.")
    ] = None
    level: Level = 0.95
    seed: Seed = None

    @model_validator(mode="after")
    def _tree(self) -> Self:
        if self.method == "tree" and self.learn_from is None:
            raise ValueError("a tree needs `learn_from`, the rows that it is learned from")
        if self.method == "greedy" and self.learn_from is not None:
            raise ValueError("`learn_from` is for a tree; the greedy method takes the model's effects")
        if not isinstance(self.cost, str) and self.cost < 0:
            raise ValueError("a cost is 0 or more")
        if self.budget.cost is not None and self.cost == 0:
            raise ValueError("a budget of cost needs a `cost` of treating a row")
        return self


class PolicyOutputs(Outputs):
    """Outputs of ``causal.policy``."""

    value: Annotated[
        Estimate,
        Field(
            description="What the policy gains over treating nobody, per row and net of cost, in units of the outcome."
        ),
    ]
    advantage: Annotated[Estimate, Field(description="The same over treating as many rows at random.")]
    values: Annotated[
        Table,
        Field(
            description="One row per policy (`policy`, `all`, `random`, `none`): `treated` share, `value` with "
            "`value_low` and `value_high`, and `advantage` of the policy over it with its bounds."
        ),
    ]
    treated: Annotated[int, Field(description="Rows of `table` to treat.")]
    spent: Annotated[float, Field(description="Sum of their costs.")]
    rules: Annotated[list[str], Field(description="Whom the policy treats, in words.")]
    decisions: Annotated[
        Table,
        Field(
            description="All rows of `table`: the kept columns, `predicted_effect`, `cost`, `rank` (1: first to treat) "
            "and `treat`."
        ),
    ]
    chosen: Annotated[
        Table, Field(description="The rows to treat in order of `rank`, to hand on with data.write or database.write.")
    ]
    report: Annotated[Report, Field(description="One HTML page: whom to treat, and what it is worth.")]


ACTIONS = (
    Action(
        "policy",
        "Decides whom to treat under a budget, and estimates what that is worth.",
        PolicyParams,
        PolicyOutputs,
        libraries=(*LIBRARIES, "matplotlib"),
        columns=True,
    ),
)
