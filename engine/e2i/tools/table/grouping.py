"""Parameters of the actions on several rows: ``aggregate``, ``window``, ``pivot``, ``unpivot``, ``dedupe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Params
from e2i.catalog.artifacts import Table
from e2i.spec import durations
from e2i.tools.data.filters import Filter
from e2i.tools.table.combining import Memory, Name, Names

Aggregate = Literal[
    "count", "count_distinct", "sum", "mean", "median", "std", "var", "min", "max", "mode", "any", "all"
]
Over = Literal["count", "sum", "mean", "std", "min", "max", "first", "last", "lag", "row_number", "rank"]


class AggregateColumn(BaseModel):
    """One new column of ``table.aggregate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    fn: Annotated[Aggregate, Field(description="Function of the rows of a group.")]
    of: Annotated[Name | None, Field(description="Column; `count` may have none. Nulls are left out.")] = None
    where: Annotated[tuple[Filter, ...], Field(description="Only rows that meet all of these conditions.")] = ()

    @model_validator(mode="after")
    def _has_column(self) -> Self:
        if self.of is None and self.fn != "count":
            raise ValueError(f"{self.fn} needs `of`, the column")
        return self


class AggregateParams(Params):
    """Parameters of ``table.aggregate``. Rows are ordered by ``by``."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[tuple[Name, ...], Field(description="Columns of the groups; none: one row for the whole table.")] = ()
    columns: Annotated[Mapping[Name, AggregateColumn], Field(min_length=1, description="New column → its function.")]
    memory: Memory = "1GB"


class WindowColumn(BaseModel):
    """One new column of ``table.window``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    fn: Annotated[Over, Field(description="Function of the rows before a row. `lag`: the value `rows` rows before.")]
    of: Annotated[Name | None, Field(description="Column; `count`, `row_number` and `rank` need none.")] = None
    rows: Annotated[int | None, Field(ge=1, le=1_000_000, description="Number of rows before; null: all.")] = None
    range: Annotated[
        str | float | None,
        Field(description="Greatest distance in `order`: a duration such as 30d, or a number; null: any."),
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.of is None and self.fn not in ("count", "row_number", "rank"):
            raise ValueError(f"{self.fn} needs `of`, the column")
        if self.rows is not None and self.range is not None:
            raise ValueError("set either `rows` or `range`, not both")
        if self.fn in ("row_number", "rank") and (self.of or self.rows or self.range):
            raise ValueError(f"{self.fn} takes neither `of`, `rows` nor `range`")
        if self.fn == "lag" and self.range is not None:
            raise ValueError("lag counts rows: set `rows`")
        if isinstance(self.range, str):
            durations.parse(self.range)
        return self


class WindowParams(Params):
    """Parameters of ``table.window``. Rows and their order stay."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[tuple[Name, ...], Field(description="Columns of the groups; none: the whole table.")] = ()
    order: Annotated[Names, Field(description="Columns that order the rows of a group, such as a time.")]
    columns: Annotated[Mapping[Name, WindowColumn], Field(min_length=1, description="New column → its function.")]
    include_current: Annotated[
        bool,
        Field(
            description="False: only rows before a row, in `order`; rows at the same time are not before. True: "
            "the row itself too."
        ),
    ] = False
    memory: Memory = "1GB"


class PivotParams(Params):
    """Parameters of ``table.pivot``: one row per group, one column per value. Rows are ordered by ``by``."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[Names, Field(description="Columns of the groups.")]
    column: Annotated[Name, Field(description="Column whose values become columns.")]
    values: Annotated[
        tuple[str | int | bool, ...], Field(min_length=1, max_length=10_000, description="The values, in order.")
    ]
    fn: Annotated[Aggregate, Field(description="Function of the rows of a group with one value.")] = "sum"
    of: Annotated[Name | None, Field(description="Column of the function; `count` may have none.")] = None
    prefix: Annotated[str, Field(max_length=100, description="Beginning of the new columns' names.")] = ""
    memory: Memory = "1GB"

    @model_validator(mode="after")
    def _has_column(self) -> Self:
        if self.of is None and self.fn != "count":
            raise ValueError(f"{self.fn} needs `of`, the column")
        return self


class UnpivotParams(Params):
    """Parameters of ``table.unpivot``: one row per row and column. Rows are in the order of the table."""

    table: Annotated[Table, Field(description="The table.")]
    columns: Annotated[Names, Field(description="Columns whose values go into one column, of one type.")]
    keep: Annotated[tuple[Name, ...] | None, Field(description="Columns to copy; null: all others.")] = None
    name: Annotated[Name, Field(description="New column with the name of the column.")] = "name"
    value: Annotated[Name, Field(description="New column with the value.")] = "value"
    memory: Memory = "1GB"


class DedupeParams(Params):
    """Parameters of ``table.dedupe``: one row per key. Rows are in the order of the table."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[Names | None, Field(description="Columns of the key; null: all columns.")] = None
    order: Annotated[
        tuple[Name, ...], Field(description="Columns that order rows of one key; equal: as in the table.")
    ] = ()
    keep: Annotated[Literal["first", "last"], Field(description="The row that is kept, in that order.")] = "first"
    memory: Memory = "1GB"
