"""Declare the actions that look at tables: ``data.profile`` and ``data.diff``. In: tables. Out: figures and pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Report, Table

Columns = tuple[Annotated[str, Field(min_length=1)], ...]
Plots = Annotated[bool, Field(description="Draw plots on the page.")]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ProfileParams(Params):
    """Parameters of ``data.profile``."""

    table: Annotated[Table, Field(description="The table to look at.")]
    target: Annotated[
        str | None, Field(min_length=1, description="Column to be predicted: the association of each other with it.")
    ] = None
    columns: Annotated[Columns | None, Field(min_length=1, description="Columns to look at; null: all.")] = None
    rows: Annotated[
        int,
        Field(
            ge=100,
            le=10_000_000,
            description="Rows to look at. Of a larger table, so many are chosen at random: fewer where rows times "
            "columns exceed ten million.",
        ),
    ] = 100_000
    seed: Annotated[
        int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random choice; null: the run's seed.")
    ] = None
    plots: Plots = True


class Frequent(_Facts):
    """A frequent value."""

    value: Annotated[str, Field(description="The value as text, at most 100 characters.")]
    rows: Annotated[int, Field(description="Rows with this value, of those looked at.")]


class ColumnFacts(_Facts):
    """What a column holds. Figures are those of the rows looked at, except for `nulls` and `key`."""

    type: Annotated[str, Field(description="Its Arrow type.")]
    nulls: Annotated[int, Field(description="Missing values in the whole table.")]
    distinct: Annotated[int | None, Field(description="Distinct values; null for lists and structs.")] = None
    key: Annotated[bool, Field(description="True when each row of the whole table has a value of its own.")] = False
    constant: Annotated[bool, Field(description="True when at most one value occurs.")] = False
    minimum: Annotated[int | float | str | None, Field(description="Least number or time; of texts the first.")] = None
    maximum: Annotated[int | float | str | None, Field(description="Largest number or time; of texts the last.")] = None
    mean: Annotated[float | None, Field(description="Mean of a number.")] = None
    deviation: Annotated[float | None, Field(description="Standard deviation of a number.")] = None
    quantiles: Annotated[
        dict[str, float], Field(description="Quantiles of a number: 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99.")
    ] = {}
    not_finite: Annotated[int, Field(description="Numbers that are NaN or infinite.")] = 0
    frequent: Annotated[tuple[Frequent, ...], Field(description="The ten most frequent values of a category.")] = ()
    association: Annotated[
        float | None,
        Field(
            description="Association with the target, from 0 to 1: absolute rank correlation of two numbers, the "
            "corrected correlation ratio of a number and a category, Cramér's V of two categories."
        ),
    ] = None
    auc: Annotated[
        float | None,
        Field(description="Area under the ROC curve of this column alone, for a target with two to ten classes."),
    ] = None
    suspect: Annotated[
        bool,
        Field(
            description="True when this column alone predicts the target almost perfectly: `auc` above 0.99, or a rank "
            "correlation above 0.995. Such a column is seldom known before the target."
        ),
    ] = False


class ProfileOutputs(Outputs):
    """Outputs of ``data.profile``."""

    columns: Annotated[dict[str, ColumnFacts], Field(description="What each column holds, by name.")]
    rows: Annotated[int, Field(description="Rows of the table.")]
    looked_at: Annotated[int, Field(description="Rows that were looked at: all, or a random sample.")]
    keys: Annotated[tuple[str, ...], Field(description="Columns in which each row has a value of its own.")]
    suspects: Annotated[tuple[str, ...], Field(description="Columns that predict the target almost perfectly.")]
    notes: Annotated[tuple[str, ...], Field(description="What deserves attention, one sentence each.")]
    report: Annotated[Report, Field(description="Page with plots.")]


class Tolerance(_Facts):
    """Difference up to which two numbers are equal: the larger of both."""

    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False, description="In units of the column.")] = 0.0
    relative: Annotated[
        float, Field(ge=0, lt=1, allow_inf_nan=False, description="Share of the larger absolute value.")
    ] = 0.0


class DiffParams(Params):
    """Parameters of ``data.diff``."""

    before: Annotated[Table, Field(description="The earlier table.")]
    after: Annotated[Table, Field(description="The later table.")]
    key: Annotated[
        Annotated[str, Field(min_length=1)] | Annotated[Columns, Field(min_length=1)],
        Field(description="Column, or columns, that identify a row. Each value occurs once in a table, none is null."),
    ]
    exclude: Annotated[Columns, Field(description="Columns that are not compared.")] = ()
    tolerance: Annotated[Tolerance, Field(description="Difference up to which numbers are equal.")] = Tolerance()
    plots: Plots = True

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else self.key


class Counts(_Facts):
    """Rows by what became of them."""

    before: Annotated[int, Field(description="Rows of the earlier table.")]
    after: Annotated[int, Field(description="Rows of the later table.")]
    added: Annotated[int, Field(description="Rows whose key is new.")]
    removed: Annotated[int, Field(description="Rows whose key is gone.")]
    changed: Annotated[int, Field(description="Rows with the same key and another value.")]
    same: Annotated[int, Field(description="Rows with the same key and equal values.")]


class TypeChange(_Facts):
    """A column whose type differs."""

    before: Annotated[str, Field(description="Its Arrow type in the earlier table.")]
    after: Annotated[str, Field(description="Its Arrow type in the later table.")]
    compared: Annotated[bool, Field(description="False when values of these types cannot be equal.")]


class DiffOutputs(Outputs):
    """Outputs of ``data.diff``."""

    added: Annotated[Table, Field(description="Rows of the later table whose key is not in the earlier one.")]
    removed: Annotated[Table, Field(description="Rows of the earlier table whose key is not in the later one.")]
    changed: Annotated[
        Table,
        Field(
            description="Rows that differ: the key, `changed` with the names of the columns that differ, and of each "
            "compared column `NAME_before` and `NAME_after`."
        ),
    ]
    equal: Annotated[bool, Field(description="True when rows, columns, values and types are equal.")]
    counts: Annotated[Counts, Field(description="Rows by what became of them.")]
    changes: Annotated[dict[str, int], Field(description="Rows that differ, by column.")]
    types: Annotated[dict[str, TypeChange], Field(description="Columns whose types differ.")]
    added_columns: Annotated[tuple[str, ...], Field(description="Columns of the later table only.")]
    removed_columns: Annotated[tuple[str, ...], Field(description="Columns of the earlier table only.")]
    report: Annotated[Report, Field(description="Page with plots.")]


ACTIONS = (
    Action(
        "profile",
        "Describes each column of a table, its association with a target, and columns that may give it away.",
        ProfileParams,
        ProfileOutputs,
        libraries=("pandas", "numpy", "pyarrow", "matplotlib"),
        columns=True,
    ),
    Action(
        "diff",
        "Compares two tables by a key: rows that were added, removed or changed, columns, types.",
        DiffParams,
        DiffOutputs,
        libraries=("numpy", "pyarrow", "matplotlib"),
        columns=True,
    ),
)
