"""Tables from files, and tables from tables. In: workspace files and tables. Out: tables.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Budget, WorkspacePath
from e2i.tools.data.filters import Filter

Columns = tuple[Annotated[str, Field(min_length=1)], ...]
Seed = Annotated[
    int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random choice; null: the run's own seed.")
]
PARTS = ("train", "validation", "test")


class LoadParams(Params):
    """Which file, and how to read it."""

    path: Annotated[WorkspacePath, Field(min_length=1, description="File in the workspace, relative to its root.")]
    format: Annotated[
        Literal["csv", "parquet", "feather"] | None,
        Field(description="Kind of file; null: by its suffix (.csv, .csv.gz, .parquet, .pq, .feather, .arrow)."),
    ] = None
    columns: Annotated[Columns | None, Field(min_length=1, description="Columns to read, in order; null: all.")] = None
    rows: Annotated[int | None, Budget("rows"), Field(ge=1, description="Read at most this many rows; null: all.")] = (
        None
    )
    types: Annotated[
        Mapping[str, Literal["string", "integer", "number", "boolean"]],
        Field(description="Type of a column where it cannot be told from the file, such as identifiers like 00731."),
    ] = {}
    parse_dates: Annotated[
        Columns, Field(description="Columns that hold ISO 8601 times; without an offset they are taken as UTC.")
    ] = ()

    @model_validator(mode="after")
    def _one_type_a_column(self) -> Self:
        twice = sorted(set(self.types) & set(self.parse_dates))
        if twice:
            raise ValueError(f"in both types and parse_dates: {', '.join(twice)}")
        return self


class LoadOutputs(Outputs):
    """The table, and what it was read from."""

    table: Annotated[Table, Field(description="The rows of the file.")]
    source_digest: Annotated[str, Field(description="SHA-256 of the file's bytes, as `sha256:…`.")]


class Fractions(BaseModel):
    """Shares of the three parts; they add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    train: Annotated[float, Field(gt=0, lt=1, description="Share that models are fitted on.")] = 0.6
    validation: Annotated[float, Field(gt=0, lt=1, description="Share that models are chosen on.")] = 0.2
    test: Annotated[float, Field(gt=0, lt=1, description="Share that the chosen model is judged on.")] = 0.2

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            shares = f"train {self.train:g}, validation {self.validation:g}, test {self.test:g}"
            raise ValueError(f"{shares} add up to {total:g}, not 1")
        return self


class SplitParams(Params):
    """How to cut a table into three parts without leakage."""

    table: Annotated[Table, Field(description="The table to cut.")]
    strategy: Annotated[
        Literal["entity", "time", "random"],
        Field(
            description="`entity`: all rows of one entity fall in one part, chosen by a hash of the entity and the "
            "seed, so that an entity stays where it is when rows are added. `time`: validation is later than train, "
            "and test later than validation; equal times stay together. `random`: rows fall where the seed puts them."
        ),
    ]
    by: Annotated[
        str | None, Field(min_length=1, description="Column of the entity or of the time; none for `random`.")
    ] = None
    fractions: Annotated[Fractions, Field(description="Share of the rows in each part.")] = Fractions()
    seed: Seed = None

    @model_validator(mode="after")
    def _by_fits_strategy(self) -> Self:
        if self.strategy == "random" and self.by is not None:
            raise ValueError("the random strategy takes no `by`; use strategy entity to keep rows together")
        if self.strategy != "random" and self.by is None:
            raise ValueError(f"strategy {self.strategy} needs `by`, the column of the {self.strategy}")
        return self


class PartFacts(BaseModel):
    """What one part holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rows: Annotated[int, Field(description="Rows in the part.")]
    groups: Annotated[int | None, Field(description="Distinct values of `by` in the part; null for `random`.")]
    first: Annotated[str | None, Field(description="Earliest time in the part; null unless split by time.")]
    last: Annotated[str | None, Field(description="Latest time in the part; null unless split by time.")]


class SplitOutputs(Outputs):
    """Three parts, in the order of the rows of the table they came from."""

    train: Annotated[Table, Field(description="Rows to fit on.")]
    validation: Annotated[Table, Field(description="Rows to choose on.")]
    test: Annotated[Table, Field(description="Rows to judge on.")]
    parts: Annotated[dict[str, PartFacts], Field(description="Size and extent of each part, by its name.")]


class SelectParams(Params):
    """Which rows and columns to keep."""

    table: Annotated[Table, Field(description="The table to take from.")]
    columns: Annotated[Columns | None, Field(min_length=1, description="Columns to keep, in order; null: all.")] = None
    exclude: Annotated[Columns, Field(description="Columns to leave out.")] = ()
    where: Annotated[tuple[Filter, ...], Field(description="Conditions that a row must meet, all of them.")] = ()
    rows: Annotated[int | None, Field(ge=1, description="Keep at most this many of the rows; null: all.")] = None
    sample: Annotated[
        bool, Field(description="Take the `rows` at random, in their order, instead of the first ones.")
    ] = False
    seed: Seed = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.columns is not None and self.exclude:
            raise ValueError("give columns or exclude, not both")
        if self.sample and self.rows is None:
            raise ValueError("sample needs `rows`: how many to take")
        return self


class SelectOutputs(Outputs):
    """What was kept."""

    table: Annotated[Table, Field(description="The rows and columns that were kept.")]
    dropped: Annotated[int, Field(description="Rows that were left out.")]


TOOL = Tool(
    name="data",
    summary="Reads tables from workspace files, splits them without leakage, selects rows and columns.",
    actions=(
        Action(
            "load",
            "Reads a CSV, Parquet or Arrow file of the workspace into a table.",
            LoadParams,
            LoadOutputs,
            libraries=("pandas", "pyarrow"),
            columns=True,
        ),
        Action(
            "split",
            "Cuts a table into train, validation and test by entity, by time or at random, and proves that none leaks.",
            SplitParams,
            SplitOutputs,
            libraries=("pandas", "numpy"),
            columns=True,
        ),
        Action(
            "select",
            "Keeps some rows and columns of a table, by structured filters.",
            SelectParams,
            SelectOutputs,
            libraries=("pandas", "numpy"),
            columns=True,
        ),
    ),
    distribution="pandas",
    extra="data",
    imports=("pandas", "pyarrow"),
)
