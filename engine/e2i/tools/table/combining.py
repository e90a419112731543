"""Parameters of the actions that combine tables: ``join``, ``asof``, ``stack``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from e2i.catalog.action import Params
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Budget
from e2i.spec import durations

Name = Annotated[str, Field(min_length=1, max_length=500)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Keys = Names | Annotated[Mapping[Name, Name], Field(min_length=1)]
Suffix = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=100,
        description="Added to a column of the right table whose name the left table has; null: a problem.",
    ),
]
Memory = Annotated[
    str,
    Budget("query_memory"),
    Field(
        pattern=r"^[0-9]+(\.[0-9]+)?(MB|GB|TB|MiB|GiB|TiB)$",
        description="Memory for rows; more of them are spilled to the step's own temporary folder. A worker needs up "
        "to three times as much: see `resources`.",
    ),
]


class JoinParams(Params):
    """Parameters of ``table.join``. Rows are in the order of the left table."""

    left: Annotated[Table, Field(description="The table whose rows are kept.")]
    right: Annotated[Table, Field(description="The table whose columns are added.")]
    on: Annotated[Keys, Field(description="Columns with equal values: names, or {left name: right name}.")]
    how: Annotated[
        Literal["left", "inner", "full", "semi", "anti"],
        Field(
            description="`left`: all rows of the left table. `inner`: rows of both. `full`: all rows. `semi`, `anti`: "
            "rows of the left table with, or without, a row in the right one; no column is added."
        ),
    ] = "left"
    expect: Annotated[
        Literal["one", "many"],
        Field(description="Rows of the right table for one key. `one`: the step fails when a key has several."),
    ] = "one"
    suffix: Suffix = None
    memory: Memory = "1GB"


class AsofParams(Params):
    """Parameters of ``table.asof``. Rows are in the order of the left table; all of them are kept."""

    left: Annotated[Table, Field(description="The table whose rows are kept, such as the moments of predictions.")]
    right: Annotated[Table, Field(description="The table with values over time, one row per key and time.")]
    by: Annotated[
        Names | Mapping[Name, Name], Field(description="Columns with equal values: names, or {left name: right name}.")
    ] = ()
    left_time: Annotated[Name, Field(description="Time, or number, of a row of the left table.")]
    right_time: Annotated[Name, Field(description="Time, or number, from which a row of the right table is known.")]
    tolerance: Annotated[
        str | float | None,
        Field(
            description="Greatest age of a value: a duration such as 1d, or a number. null: any. Older ones are null."
        ),
    ] = None
    strict: Annotated[
        bool,
        Field(
            description="True: values strictly before `left_time`. False: also at that time, as "
            "`feast.historical_features` does."
        ),
    ] = True
    suffix: Suffix = None
    memory: Memory = "1GB"

    @field_validator("tolerance")
    @classmethod
    def _is_duration(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, str):
            durations.parse(value)
        elif value is not None and value < 0:
            raise ValueError("a tolerance is not negative")
        return value


class StackParams(Params):
    """Parameters of ``table.stack``. Rows are in the order of the tables."""

    tables: Annotated[tuple[Table, ...], Field(min_length=1, description="The tables, with the same columns.")]
    missing: Annotated[
        Literal["fail", "null"], Field(description="What to do when a table lacks a column that another has.")
    ] = "fail"
    memory: Memory = "1GB"
