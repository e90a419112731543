"""Declare the operations of a recipe, by which the features of a model are prepared. Pure.

A recipe is data: it names columns and operations, and fits nothing. ``preparation`` fits it to training rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from typing_extensions import TypeAliasType

from e2i.catalog.artifacts import Recipe
from e2i.catalog.names import ColumnName
from e2i.estimators.recipe_operations import KINDS, MOST_WEIGHTS, WHOLE, Kind

Part = Literal[
    "year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "days"
]  # fmt: skip
Names = TypeAliasType(
    "Names",
    Annotated[
        tuple[ColumnName, ...] | None, Field(min_length=1, description="Columns to apply it to; or set `types`.")
    ],
)
Kinds = TypeAliasType(
    "Kinds",
    Annotated[
        tuple[Kind, ...] | None,
        Field(
            min_length=1,
            description="Apply it to all columns of these types, of those that the steps before it have made. Booleans "
            "are numbers.",
        ),
    ],
)
"""Values of every operation, which the schema defines once."""


class Operation(BaseModel):
    """Base of the operations. ``KINDS`` are the columns that it can be applied to."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    op: str
    columns: Annotated[Names, Field(description="Columns; or `types`.")] = None
    types: Annotated[Kinds, Field(description="All columns of these types.")] = None

    @model_validator(mode="after")
    def _some_columns(self) -> Self:
        if self.columns is not None and self.types is not None:
            raise ValueError("set either `columns` or `types`, not both")
        if self.columns is None and self.types is None and self.op not in WHOLE:
            raise ValueError(f"{self.op} needs `columns`, or `types` such as [{KINDS[self.op][0]}]")
        if wrong := [kind for kind in self.types or () if kind not in KINDS[self.op]]:
            raise ValueError(f"{self.op} takes {' and '.join(KINDS[self.op])} columns, not {wrong[0]} columns")
        return self


class Impute(Operation):
    """Replace missing values."""

    op: Literal["impute"]
    strategy: Annotated[
        Literal["median", "mean", "mode", "constant"],
        Field(description="Of the training values; or constant: `value`. median and mean are of numbers."),
    ] = "median"
    value: Annotated[float | str | None, Field(description="The value of strategy constant.")] = None
    indicator: Annotated[bool, Field(description="Add a column NAME_missing: 1 where the value was missing.")] = False

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if (self.value is None) == (self.strategy == "constant"):
            raise ValueError("`value` and `strategy: constant` belong together")
        if self.strategy in ("median", "mean") and "text" in (self.types or ()):
            raise ValueError(f"texts have no {self.strategy}; use mode or constant")
        return self


class Scale(Operation):
    """Bring numbers to one scale."""

    op: Literal["scale"]
    method: Annotated[
        Literal["standard", "robust", "quantile", "power"],
        Field(
            description="standard: mean 0, standard deviation 1. robust: median 0, interquartile range 1. quantile: "
            "the share of training values below. power: near a normal distribution (Yeo-Johnson), then standard."
        ),
    ] = "standard"


class Clip(Operation):
    """Limit numbers."""

    op: Literal["clip"]
    low: Annotated[float | None, Field(description="Lowest value.")] = None
    high: Annotated[float | None, Field(description="Highest value.")] = None
    quantiles: Annotated[
        tuple[float, float] | None,
        Field(
            description="Limits as quantiles of the training values, such as [0.01, 0.99]; instead of `low`, `high`."
        ),
    ] = None

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if (self.quantiles is None) == (self.low is None and self.high is None):
            raise ValueError("set `quantiles`, or `low` or `high`")
        low, high = self.quantiles or (self.low, self.high)
        if low is not None and high is not None and low >= high:
            raise ValueError(f"the lower limit {low:g} is not below the upper limit {high:g}")
        if self.quantiles is not None and not 0 <= self.quantiles[0] < self.quantiles[1] <= 1:
            raise ValueError("quantiles are between 0 and 1")
        return self


class Bin(Operation):
    """Replace numbers by the number of their interval, from 0."""

    op: Literal["bin"]
    bins: Annotated[int, Field(ge=2, le=1_000, description="Number of intervals.")] = 5
    method: Annotated[
        Literal["quantile", "uniform"], Field(description="Intervals with equally many rows, or equally wide.")
    ] = "quantile"


class Spline(Operation):
    """Replace numbers by B-splines, constant beyond the training values."""

    op: Literal["spline"]
    knots: Annotated[int, Field(ge=2, le=100, description="Number of knots.")] = 5
    degree: Annotated[int, Field(ge=1, le=5, description="Degree of the polynomials.")] = 3
    method: Annotated[Literal["quantile", "uniform"], Field(description="Where the knots are.")] = "uniform"


def _count_or_share(value: object) -> object:
    """Return a value that is no number, or one that is a count or a share. Raises ValueError for others."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_count = isinstance(value, int) and value >= 1
        if not is_count and not 0 < value < 1:
            raise ValueError(f"write a number of rows from 1 up, or a share of the rows between 0 and 1, not {value:g}")
    return value


class OneHot(Operation):
    """Replace values by one column each, NAME_VALUE, of 0 and 1. Missing counts as a value."""

    op: Literal["one_hot"]
    min_frequency: Annotated[
        Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None,
        BeforeValidator(_count_or_share),
        Field(description="Values in fewer rows, or in a smaller share of the rows, go into one column NAME_other."),
    ] = None
    unknown: Annotated[
        Literal["other", "zero", "fail"],
        Field(
            description="Values that training did not see. other: as rare ones, if there are any. zero: 0 in every "
            "column. fail: refuse the rows."
        ),
    ] = "other"


class TargetEncode(Operation):
    """Replace values by the mean of the target. Training rows get the mean of other rows (cross-fitted).

    For more than two classes there is one column for each, NAME_CLASS.
    """

    op: Literal["target_encode"]
    smooth: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0)],
        Field(
            description="How much the mean of a value is drawn to that of all rows. auto: by the variances (empirical "
            "Bayes). A number: as many rows with the mean of all."
        ),
    ] = "auto"
    folds: Annotated[int, Field(ge=2, le=100, description="Folds of the cross-fitting.")] = 5


class CountEncode(Operation):
    """Replace values by the number of training rows that have them; 0 for unseen values. Missing counts as a value."""

    op: Literal["count_encode"]
    share: Annotated[bool, Field(description="The share of the rows instead of their number.")] = False


class Hash(Operation):
    """Replace texts by columns NAME_hash_0, …: 1 in the column that a hash (CRC-32) chooses."""

    op: Literal["hash"]
    size: Annotated[int, Field(ge=2, le=4_096, description="Number of columns.")] = 32


class Tfidf(Operation):
    """Replace texts by the weights of their words (tf-idf), or by the main components of these weights."""

    op: Literal["tfidf"]
    words: Annotated[int, Field(ge=1, le=20_000, description="Words that are kept, the most frequent first.")] = 1_000
    components: Annotated[
        int | None,
        Field(ge=1, le=200, description="Components of a truncated SVD, NAME_svd_0, …; null: a column NAME_WORD each."),
    ] = 20

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if self.words * (self.components or 1) > MOST_WEIGHTS:
            raise ValueError(f"words times components is above {MOST_WEIGHTS:,}")
        return self


class Dates(Operation):
    """Replace times by their parts, NAME_PART, in UTC."""

    op: Literal["dates"]
    parts: Annotated[
        tuple[Part, ...], Field(min_length=1, description="The parts; `days` are the days since 1970, as a fraction.")
    ] = ("year", "month", "day", "weekday")
    cyclic: Annotated[
        bool, Field(description="Sine and cosine of the parts that begin again, NAME_PART_sin and NAME_PART_cos.")
    ] = False


class Plain(Operation):
    """ordinal: replace values by their number in sorted order; missing and unseen ones are missing. log: replace
    numbers by the logarithm of one plus each. interact: add the product of each two columns, ONE_x_OTHER.
    drop_constant: remove columns of one value.
    """

    op: Literal["ordinal", "log", "interact", "drop_constant"]


class Select(Operation):
    """Keep the number columns that tell most of the target, each by itself; other columns stay."""

    op: Literal["select"]
    k: Annotated[int, Field(ge=1, le=10_000, description="Number of columns to keep.")]
    score: Annotated[
        Literal["f", "mutual_information"],
        Field(description="F-test of the classes' means or of the correlation, or mutual information."),
    ] = "f"


Step = Annotated[
    Impute | Scale | Clip | Bin | Spline | OneHot | TargetEncode | CountEncode | Hash | Tfidf | Dates | Plain | Select,
    Field(discriminator="op"),
]


def recipe_of(operations: Sequence[Operation]) -> Recipe:
    """Return operations as a recipe. Equal ones have equal digests."""
    steps = tuple(step.model_dump(mode="json", exclude_defaults=True) for step in operations)
    content = json.dumps(steps, sort_keys=True, ensure_ascii=False).encode()
    return Recipe(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", steps=steps)


def steps_of(recipe: Recipe) -> Sequence[Operation]:
    """Return the operations of a recipe. Raises pydantic's ValidationError."""
    found: Sequence[Operation] = TypeAdapter(tuple[Step, ...]).validate_python(list(recipe.steps))
    return found
