"""The table tool: structured operations on tables. In: tables. Out: a table.

Each action is a locked query (``e2i.queries``) that is generated from its parameters. Declarations only; ``statements``
generates, ``actions`` runs.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.tools.table import combining, grouping, shaping


class TableOutputs(Outputs):
    """Outputs of every action of the tool."""

    table: Annotated[Table, Field(description="The resulting table.")]


def _action(name: str, summary: str, params: type[Params]) -> Action:
    return Action(name, summary, params, TableOutputs, libraries=("duckdb", "pyarrow"), columns=True)


TOOL = Tool(
    name="table",
    summary="Joins, aggregates, reshapes and derives tables by structured parameters.",
    actions=(
        _action("join", "Adds columns of another table by equal keys.", combining.JoinParams),
        _action("asof", "Adds the latest values of another table before a time.", combining.AsofParams),
        _action("aggregate", "Computes one row per group.", grouping.AggregateParams),
        _action("window", "Adds columns from the earlier rows of the same group.", grouping.WindowParams),
        _action("derive", "Adds columns by SQL expressions of one row.", shaping.DeriveParams),
        _action("dates", "Adds parts of a time as columns.", shaping.DatesParams),
        _action("stack", "Puts tables with the same columns below each other.", combining.StackParams),
        _action("unpivot", "Turns columns into rows.", grouping.UnpivotParams),
        _action("pivot", "Turns listed values of a column into columns.", grouping.PivotParams),
        _action("dedupe", "Keeps one row per key.", grouping.DedupeParams),
        _action("sort", "Sorts rows.", shaping.SortParams),
        _action("rename", "Renames columns.", shaping.RenameParams),
        _action("cast", "Changes types of columns.", shaping.CastParams),
        _action("fill", "Replaces nulls by given values.", shaping.FillParams),
        _action("sample", "Chooses a fraction of keys by their hash.", shaping.SampleParams),
    ),
    distribution="duckdb",
    extra="sql",
    imports=("duckdb", "pyarrow"),
)
