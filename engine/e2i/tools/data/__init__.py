"""The data tool: read tables from files, split them, filter them. In: workspace files and tables. Out: tables.

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
Seed = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random choice; null: the run's seed.")]
PARTS = ("train", "validation", "test")


class LoadParams(Params):
    """Parameters of ``data.load``."""

    path: Annotated[WorkspacePath, Field(min_length=1, description="File in the workspace, relative to its root.")]
    format: Annotated[
        Literal["csv", "parquet", "feather"] | None,
        Field(
            description="File format. null: derived from the suffix (.csv, .csv.gz, .parquet, .pq, .feather, .arrow)."
        ),
    ] = None
    columns: Annotated[Columns | None, Field(min_length=1, description="Columns to read, in order; null: all.")] = None
    rows: Annotated[int | None, Budget("rows"), Field(ge=1, description="Read at most this many rows; null: all.")] = (
        None
    )
    types: Annotated[
        Mapping[str, Literal["string", "integer", "number", "boolean"]],
        Field(
            description="Types of columns whose type cannot be derived from the file, such as identifiers like 00731."
        ),
    ] = {}
    parse_dates: Annotated[
        Columns, Field(description="Columns with ISO 8601 times. Times without an offset are read as UTC.")
    ] = ()

    @model_validator(mode="after")
    def _one_type_a_column(self) -> Self:
        twice = sorted(set(self.types) & set(self.parse_dates))
        if twice:
            raise ValueError(f"in both types and parse_dates: {', '.join(twice)}")
        return self


class LoadOutputs(Outputs):
    """Outputs of ``data.load``."""

    table: Annotated[Table, Field(description="The rows of the file.")]
    source_digest: Annotated[str, Field(description="SHA-256 of the file's bytes, as `sha256:…`.")]


class Fractions(BaseModel):
    """Fractions of the rows in train, validation and test. They add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    train: Annotated[float, Field(gt=0, lt=1, description="Fraction for fitting models.")] = 0.6
    validation: Annotated[float, Field(gt=0, lt=1, description="Fraction for choosing between models.")] = 0.2
    test: Annotated[float, Field(gt=0, lt=1, description="Fraction for evaluating the chosen model.")] = 0.2

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            shares = f"train {self.train:g}, validation {self.validation:g}, test {self.test:g}"
            unset = [name for name in type(self).model_fields if name not in self.model_fields_set]
            defaults = " and ".join(f"{name} {getattr(self, name):g}" for name in unset)
            added = f"; {defaults} {'is the default' if len(unset) == 1 else 'are the defaults'}: write all three"
            raise ValueError(f"{shares} add up to {total:g}, not 1" + (added if unset else ""))
        return self


class SplitParams(Params):
    """Parameters of ``data.split``."""

    table: Annotated[Table, Field(description="The table to split.")]
    strategy: Annotated[
        Literal["entity", "time", "random"],
        Field(
            description="`entity`: all rows of one entity are in the same output table. The table is chosen by "
            "a hash of the entity and the seed, so it does not change when rows are added. `time`: validation is "
            "later than train, and test is later than validation. Rows with equal times stay together. `random`: "
            "rows are shuffled by the seed."
        ),
    ]
    by: Annotated[
        str | None, Field(min_length=1, description="Column of the entity or the time; not used by `random`.")
    ] = None
    fractions: Annotated[Fractions, Field(description="Fraction of the rows in each table.")] = Fractions()
    seed: Seed = None

    @model_validator(mode="after")
    def _by_fits_strategy(self) -> Self:
        if self.strategy == "random" and self.by is not None:
            raise ValueError("the random strategy takes no `by`; use strategy entity to keep rows together")
        if self.strategy != "random" and self.by is None:
            raise ValueError(f"strategy {self.strategy} needs `by`, the column of the {self.strategy}")
        return self


class PartFacts(BaseModel):
    """Size and extent of one output table of a split."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rows: Annotated[int, Field(description="Rows in the table.")]
    groups: Annotated[int | None, Field(description="Distinct values of `by` in the table; null for `random`.")]
    first: Annotated[str | None, Field(description="Earliest time in the table; null unless split by time.")]
    last: Annotated[str | None, Field(description="Latest time in the table; null unless split by time.")]


class SplitOutputs(Outputs):
    """Outputs of ``data.split``: three tables with their rows in the original order."""

    train: Annotated[Table, Field(description="Rows for fitting.")]
    validation: Annotated[Table, Field(description="Rows for choosing between models.")]
    test: Annotated[Table, Field(description="Rows for the final evaluation.")]
    parts: Annotated[dict[str, PartFacts], Field(description="Size and extent of each table: train, validation, test.")]


class SelectParams(Params):
    """Parameters of ``data.select``."""

    table: Annotated[Table, Field(description="The table to filter.")]
    columns: Annotated[Columns | None, Field(min_length=1, description="Columns to keep, in order; null: all.")] = None
    exclude: Annotated[Columns, Field(description="Columns to remove.")] = ()
    where: Annotated[
        tuple[Filter, ...], Field(description="Conditions on rows. A row is kept when it meets all of them.")
    ] = ()
    rows: Annotated[int | None, Field(ge=1, description="Keep at most this many rows; null: all.")] = None
    sample: Annotated[
        bool, Field(description="Take `rows` rows at random, in their original order, instead of the first ones.")
    ] = False
    seed: Seed = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.columns is not None and self.exclude:
            raise ValueError("set either `columns` or `exclude`, not both")
        if self.sample and self.rows is None:
            raise ValueError("`sample` needs `rows`, the number of rows to take")
        return self


class SelectOutputs(Outputs):
    """Outputs of ``data.select``."""

    table: Annotated[Table, Field(description="The rows and columns that were kept.")]
    dropped: Annotated[int, Field(description="Number of rows that were removed.")]


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
            "Splits a table into train, validation and test by entity, by time or at random, and checks for leakage.",
            SplitParams,
            SplitOutputs,
            libraries=("pandas", "numpy"),
            columns=True,
        ),
        Action(
            "select",
            "Selects rows and columns of a table by structured filters.",
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
