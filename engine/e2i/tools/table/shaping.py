"""Parameters of the actions on single rows, from ``derive`` to ``sample``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from e2i.catalog.action import Params
from e2i.catalog.artifacts import Table
from e2i.tools.table.combining import Memory, Name, Names

Kind = Literal["string", "integer", "number", "boolean", "timestamp", "date"]
Part = Literal[
    "year", "quarter", "month", "week", "day", "dayofyear", "weekday", "hour", "minute", "weekend", "holiday", "epoch"
]
Cycle = Literal["month", "day", "dayofyear", "weekday", "hour", "minute"]


class DeriveParams(Params):
    """Parameters of ``table.derive``. Rows and their order stay."""

    table: Annotated[Table, Field(description="The table.")]
    columns: Annotated[
        Mapping[Name, Annotated[str, Field(min_length=1, max_length=10_000)]],
        Field(
            min_length=1,
            description="New column → an expression in DuckDB's SQL of the columns of its row: `dep_delay > 15`.",
        ),
    ]
    memory: Memory = "1GB"


class DatesParams(Params):
    """Parameters of ``table.dates``: new columns COLUMN_PART. Rows and their order stay."""

    table: Annotated[Table, Field(description="The table.")]
    column: Annotated[Name, Field(description="Column with a timestamp or a date; timestamps with a zone are in UTC.")]
    parts: Annotated[
        tuple[Part, ...],
        Field(description="`weekday`: 0 is Monday. `weekend`, `holiday`: true or false. `epoch`: seconds since 1970."),
    ] = ()
    cyclic: Annotated[
        tuple[Cycle, ...], Field(description="Parts as two columns COLUMN_PART_sin and _cos, so that 23 h is near 0 h.")
    ] = ()
    holidays: Annotated[tuple[str, ...], Field(description="Days of the part `holiday`, as 2013-12-25.")] = ()
    memory: Memory = "1GB"

    @field_validator("holidays")
    @classmethod
    def _are_dates(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        for day in days:
            try:
                date.fromisoformat(day)
            except ValueError as error:
                raise ValueError(f'"{day}" is not a date such as 2013-12-25') from error
        return days

    @model_validator(mode="after")
    def _adds_something(self) -> Self:
        if not self.parts and not self.cyclic:
            raise ValueError("name at least one of `parts` or `cyclic`")
        if ("holiday" in self.parts) != bool(self.holidays):
            raise ValueError("the part `holiday` and the list `holidays` need each other")
        return self


class SortParams(Params):
    """Parameters of ``table.sort``. Equal rows keep their order; nulls are last."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[Names, Field(description="Columns, the most important first.")]
    descending: Annotated[tuple[Name, ...], Field(description="Those of them that begin with the greatest value.")] = ()
    memory: Memory = "1GB"

    @model_validator(mode="after")
    def _descends_by(self) -> Self:
        if others := sorted(set(self.descending) - set(self.by)):
            raise ValueError(f"`descending` names columns of `by`, and {others[0]} is none")
        return self


class RenameParams(Params):
    """Parameters of ``table.rename``."""

    table: Annotated[Table, Field(description="The table.")]
    columns: Annotated[Mapping[Name, Name], Field(min_length=1, description="Old name → new name.")]
    memory: Memory = "1GB"


class CastParams(Params):
    """Parameters of ``table.cast``."""

    table: Annotated[Table, Field(description="The table.")]
    columns: Annotated[
        Mapping[Name, Kind],
        Field(
            min_length=1,
            description="Column → type. `timestamp` is in UTC; `number` is double; `integer` has 64 bits and takes no "
            "fraction: round it first with table.derive.",
        ),
    ]
    errors: Annotated[
        Literal["fail", "null"], Field(description="What to do with a value that cannot be converted.")
    ] = "fail"
    memory: Memory = "1GB"


class FillParams(Params):
    """Parameters of ``table.fill``."""

    table: Annotated[Table, Field(description="The table.")]
    columns: Annotated[
        Mapping[Name, str | int | float | bool],
        Field(min_length=1, description="Column → the value for its nulls. Values learnt from data belong to a model."),
    ]
    memory: Memory = "1GB"


class SampleParams(Params):
    """Parameters of ``table.sample``: rows chosen by a hash, so that the same keys are chosen when rows are added."""

    table: Annotated[Table, Field(description="The table.")]
    by: Annotated[Names, Field(description="Columns of the key: rows with equal keys are all chosen, or none is.")]
    fraction: Annotated[float, Field(gt=0, lt=1, description="Fraction of the keys.")]
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the choice; null: the run's seed.")] = (
        None
    )
    memory: Memory = "1GB"
