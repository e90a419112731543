"""The data tool: read and write files, split tables, filter them. In: workspace files and tables. Out: the same.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.action import Action, DeferredActions, Effect, Outputs, Params, Tool
from e2i.catalog.artifacts import File, Model, Report, Table
from e2i.catalog.marks import Budget, Privilege, WorkspacePaths, WrittenPath
from e2i.tools.data import encodings, formats
from e2i.tools.data.contract import TYPE
from e2i.tools.data.filters import Filter

DeclaredType = Annotated[str, Field(pattern=TYPE)]
Contract = Mapping[Annotated[str, Field(min_length=1)], DeclaredType]
Columns = tuple[Annotated[str, Field(min_length=1)], ...]
Seed = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random choice; null: the run's seed.")]
PARTS = ("train", "validation", "test")


class LoadParams(Params):
    """Parameters of ``data.load``."""

    path: Annotated[
        WorkspacePaths | None,
        Field(
            min_length=1,
            description="File in the workspace, relative to its root. Also a folder or a pattern such as "
            "data/*.parquet: the files in it, sorted by path, must have the same columns. Or set `stored`.",
        ),
    ] = None
    stored: Annotated[File | None, Field(description="A stored file, such as `file` of remote.get.")] = None
    format: Annotated[
        Literal["csv", "tsv", "jsonl", "parquet", "feather", "excel"] | None,
        Field(
            description="File format. null: derived from the suffix (.csv, .tsv, .jsonl, each also with .gz, .parquet, "
            ".pq, .feather, .arrow, .xlsx, .xls, .ods). `feather` is an Arrow file."
        ),
    ] = None
    columns: Annotated[
        Columns | Contract | None,
        Field(
            min_length=1,
            description="Columns to read, in order; null: all. As a mapping to types (string, integer, number, "
            "boolean, date, timestamp, decimal(P,S)): a contract that each value must keep.",
        ),
    ] = None
    rows: Annotated[int | None, Budget("rows"), Field(ge=1, description="Read at most this many rows; null: all.")] = (
        None
    )
    types: Annotated[
        Mapping[str, DeclaredType],
        Field(
            description="Types of columns whose type cannot be derived from the file, such as identifiers like 00731. "
            "The other columns are read as well."
        ),
    ] = {}
    parse_dates: Annotated[
        Columns, Field(description="Columns with ISO 8601 times. Times without an offset are read as UTC.")
    ] = ()
    known_at: Annotated[
        Mapping[str, Annotated[str, Field(min_length=1, max_length=100)]],
        Field(
            description="Column → the moment at which its value becomes known, by a name of yours such as `departure`. "
            "Columns that are not listed are always known. See `predict_after` of model.train."
        ),
    ] = {}
    dialect: Annotated[
        Literal["auto", "exact"],
        Field(
            description="How a CSV file is written. `auto`: what is not stated below is found out from the first 64 kB "
            "and reported; two plausible readings are refused. `exact`: what is not stated is as usual."
        ),
    ] = "auto"
    delimiter: Annotated[
        str | None, Field(min_length=1, max_length=1, description="Separator of fields. null: see `dialect`.")
    ] = None
    quote: Annotated[
        str | None, Field(max_length=1, description='Quotes around fields; "": none. null: see `dialect`.')
    ] = None
    escape: Annotated[
        str | None, Field(min_length=1, max_length=1, description="Character before a quote inside quotes; null: none.")
    ] = None
    encoding: Annotated[
        str, Field(description="Encoding of a text file. UTF-16 is recognised by its byte order mark.")
    ] = "utf-8"
    decimal: Annotated[
        Literal[".", ","] | None, Field(description="Decimal mark of numbers. null: see `dialect`, usually a point.")
    ] = None
    thousands: Annotated[
        Literal[",", ".", " ", "'", "_"] | None, Field(description="Mark between thousands; null: see `dialect`.")
    ] = None
    nulls: Annotated[
        tuple[str, ...],
        Field(
            description="Texts that are missing values. Among numbers, booleans and times, NA, NaN, NULL, null, None, "
            "N/A and the like are missing as well."
        ),
    ] = ("",)
    true_values: Annotated[tuple[str, ...], Field(description="Texts that are true, besides true, True and TRUE.")] = ()
    false_values: Annotated[
        tuple[str, ...], Field(description="Texts that are false, besides false, False and FALSE.")
    ] = ()
    header: Annotated[
        bool | None,
        Field(
            description="Whether the first row has the names of columns. null: yes, unless it may as well be data, "
            "which is refused. Without a header, `columns` names the fields, or they are column_1, column_2 …"
        ),
    ] = None
    skip: Annotated[int, Field(ge=0, le=10_000, description="Lines above the header to leave out.")] = 0
    comment: Annotated[
        str | None, Field(min_length=1, max_length=1, description="Lines that begin with it are left out; null: none.")
    ] = None
    bad_rows: Annotated[
        Literal["fail", "report"],
        Field(description="Rows with more or fewer fields than the header: fail, or leave them out and report them."),
    ] = "fail"
    partitions: Annotated[
        Literal["hive"] | None,
        Field(description="`hive`: folders named KEY=VALUE give a column each. null: folders have no meaning."),
    ] = None
    sheet: Annotated[str | None, Field(min_length=1, description="Sheet of an Excel file; null: the only one.")] = None

    @property
    def shown(self) -> str:
        """The name of the file, as messages have it."""
        return self.path or (self.stored.name if self.stored else "")

    @model_validator(mode="after")
    def _one_file(self) -> Self:
        if (self.path is None) == (self.stored is None):
            raise ValueError("takes either `path` or `stored`")
        return self

    @model_validator(mode="after")
    def _one_type_a_column(self) -> Self:
        declared = [*self.types, *self.parse_dates, *(self.columns if isinstance(self.columns, Mapping) else ())]
        if twice := sorted({name for name in declared if declared.count(name) > 1}):
            raise ValueError(f"has two types: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if not encodings.is_known(self.encoding):
            raise ValueError(f"unknown encoding {self.encoding!r}; use a name such as utf-8, latin-1, cp1252 or utf-16")
        return self


class LoadOutputs(Outputs):
    """Outputs of ``data.load``."""

    table: Annotated[Table, Field(description="The rows of the file.")]
    source_digest: Annotated[str, Field(description="SHA-256 of the file's bytes, or of all files, as `sha256:…`.")]
    notes: Annotated[
        tuple[str, ...], Field(description="What was found out about the file, and which rows were left out.")
    ] = ()


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
            "rows are assigned by the seed and their position; rows added at the end move no others."
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


class WriteParams(Params):
    """Parameters of ``data.write``."""

    path: Annotated[
        WrittenPath, Field(min_length=1, description="File in the workspace to write, relative to its root.")
    ]
    table: Annotated[Table | None, Field(description="The table to write; or one of the following.")] = None
    model: Annotated[Model | None, Field(description="The model to write, as a ZIP archive of its files.")] = None
    report: Annotated[
        Report | None, Field(description="The report to write: its file, or a ZIP archive of its files.")
    ] = None
    value: Annotated[Any, Field(description="A value to write as JSON, such as metrics.")] = None
    format: Annotated[
        Literal["csv", "tsv", "jsonl", "json", "parquet", "feather"] | None,
        Field(description="Format of a table. null: derived from the suffix. `json` is one list of objects."),
    ] = None
    mode: Annotated[
        Literal["fail", "replace", "append_partition"],
        Field(
            description="What to do when the file or folder exists with other content. The same content is never "
            "written again. `append_partition` adds partitions to a folder."
        ),
    ] = "fail"
    partition_by: Annotated[
        Columns | None,
        Field(
            description="Write a folder of Parquet files, one for each combination of values in these columns; []: one "
            "file. The folder's manifest.json names the current version of its files."
        ),
    ] = None
    compression: Annotated[
        Literal["zstd", "snappy", "gzip", "lz4", "none"],
        Field(description="Compression of a Parquet file; of an Arrow file: zstd, lz4 or none."),
    ] = "zstd"
    escape_formulas: Annotated[
        bool,
        Privilege("write_formulas", False),
        Field(
            description="Put an apostrophe before texts in CSV and TSV files that a spreadsheet would run as formulas: "
            "those that begin with =, +, -, @, a tab or a carriage return."
        ),
    ] = False

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [name for name in ("table", "model", "report", "value") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"takes one of table, model, report and value, not {len(given) or 'none'} of them")
        return self

    @model_validator(mode="after")
    def _known_format(self) -> Self:
        if self.partition_by is not None:
            if self.table is None or self.format not in (None, "parquet"):
                raise ValueError("`partition_by` is for tables in Parquet files")
        elif self.mode == "append_partition":
            raise ValueError("`mode: append_partition` needs `partition_by`")
        elif self.table is not None and self.format is None and formats.written(self.path) is None:
            raise ValueError(f"the format of {self.path!r} cannot be derived from its suffix; set `format`")
        if self.format == "feather" and self.compression in ("snappy", "gzip"):
            raise ValueError(f"an Arrow file cannot be compressed by {self.compression}; use zstd, lz4 or none")
        return self


class FileFacts(BaseModel):
    """A file that was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: Annotated[str, Field(description="Its path, relative to the workspace.")]
    digest: Annotated[str, Field(description="SHA-256 of its bytes, as `sha256:…`.")]
    bytes: Annotated[int, Field(description="Its size.")]


class WriteOutputs(Outputs):
    """Outputs of ``data.write``."""

    file: Annotated[FileFacts, Field(description="The file.")]
    escaped: Annotated[int, Field(description="Number of texts that were escaped.")] = 0


TOOL = Tool(
    name="data",
    summary="Reads and writes files of the workspace, splits tables without leakage, selects, profiles, compares.",
    actions=DeferredActions(
        __name__,
        Action(
            "load",
            "Reads a CSV, TSV, JSON lines, Parquet, Arrow or Excel file of the workspace into a table.",
            LoadParams,
            LoadOutputs,
            version=2,
            libraries=("pandas", "pyarrow", "python-calamine"),
            columns=True,
        ),
        Action(
            "split",
            "Splits a table into train, validation and test by entity, by time or at random, and checks for leakage.",
            SplitParams,
            SplitOutputs,
            version=2,
            libraries=("pandas", "numpy", "pyarrow"),
            columns=True,
        ),
        "folding.folds",
        Action(
            "select",
            "Selects rows and columns of a table by structured filters.",
            SelectParams,
            SelectOutputs,
            version=2,
            libraries=("numpy", "pyarrow"),
            columns=True,
        ),
        Action(
            "write",
            "Writes a table, a model, a report or a value to a file of the workspace: whole, or not at all.",
            WriteParams,
            WriteOutputs,
            effect=Effect.EXTERNAL,
            libraries=("pyarrow",),
            verified=True,
        ),
        "looking.profile",
        "looking.diff",
    ),
    distribution="pandas",
    extra="data",
    imports=("pandas", "pyarrow"),
)
