"""Structured row filters. In: ``{column, op, value}`` and a frame. Out: a mask of the rows that meet all filters.

A filter is data, never an expression, so a generated spec cannot inject code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.columns import ColumnProblem, absent
from e2i.errors import StepError
from e2i.spec.suggest import hint

if TYPE_CHECKING:
    import pandas as pd

Scalar = str | bool | int | float
ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class Filter(BaseModel):
    """One condition on one column. A missing value meets ``is_null`` and no other condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    column: Annotated[str, Field(min_length=1, description="Column to compare.")]
    op: Annotated[
        Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "is_null", "not_null"],
        Field(description="Comparison; `in` and `not_in` take a list, `is_null` and `not_null` take no value."),
    ]
    value: Annotated[
        Scalar | tuple[Scalar, ...] | None,
        Field(description="Value to compare the column with. Times: ISO 8601 text, UTC unless it has an offset."),
    ] = None

    @model_validator(mode="after")
    def _value_fits_op(self) -> Self:
        if self.op in ("is_null", "not_null"):
            if self.value is not None:
                raise ValueError(f"{self.op} takes no value")
        elif self.op in ("in", "not_in"):
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError(f"{self.op} takes a list of at least one value")
        elif self.value is None or isinstance(self.value, tuple):
            raise ValueError(f"{self.op} takes one value")
        return self


def mask(frame: pd.DataFrame, filters: Sequence[Filter]) -> pd.Series[bool]:
    """Return True for each row that meets every filter. Raises StepError for an unknown column or a wrong type."""
    import pandas as pd

    kept = pd.Series(True, index=frame.index)
    for item in filters:
        require_columns(frame, [item.column])
        kept &= _meets(frame[item.column], item)
    return kept


def absent_columns(table: Any, where: Any) -> list[ColumnProblem]:
    """Return problems of filters in the parameter ``where`` that refer to unknown columns. Used while planning."""
    filters = enumerate(where) if isinstance(where, list | tuple) else ()
    named = ((index, item.get("column")) for index, item in filters if isinstance(item, Mapping))
    return [problem for index, column in named for problem in absent(table, ("where", index, "column"), column)]


def require_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise StepError naming every column that the frame lacks, with the nearest match for the first."""
    present = [str(name) for name in frame.columns]
    absent = [name for name in names if name not in present]
    if not absent:
        return
    raise StepError(
        f"the table has no column {', '.join(map(repr, absent))}",
        code="unknown-column",
        hint=hint(absent[0], present, most=40),
    )


def _meets(column: pd.Series[Any], item: Filter) -> Any:
    import numpy as np

    match item.op:
        case "is_null":
            return column.isna()
        case "not_null":
            return column.notna()
        case "in" | "not_in":
            assert isinstance(item.value, tuple)
            found = column.isin([_comparable(column, value) for value in item.value])
            return found if item.op == "in" else ~found & column.notna()
        case _:
            assert item.value is not None and not isinstance(item.value, tuple)
            present = column.notna().to_numpy()
            met = np.zeros(len(column), dtype=bool)
            # Compare only present values: text and None have no order.
            met[present] = ORDERED[item.op](column[present], _comparable(column, item.value)).astype(bool)
            return met


def _comparable(column: pd.Series[Any], value: Scalar) -> Any:
    """Return the value in the column's type. Raises StepError when it has another type."""
    import pandas as pd

    try:
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind.startswith("datetime"):
            return _moment(column, value)
        if kind == "date":
            return date.fromisoformat(_text(value))
        if kind == "boolean":
            wanted: type | tuple[type, ...] = bool
        elif kind in ("integer", "floating", "mixed-integer-float", "decimal"):
            wanted = (int, float)
        elif kind == "empty":
            return value
        else:
            kind, wanted = "string", str
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise TypeError
    except (TypeError, ValueError) as error:
        raise StepError(
            f"column {column.name!r} has {kind} values and cannot be compared with {value!r}", code="bad-filter"
        ) from error
    return value


def _moment(column: pd.Series[Any], value: Scalar) -> pd.Timestamp:
    import pandas as pd

    moment = pd.Timestamp(_text(value))
    moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    return moment if column.dt.tz is not None else moment.tz_localize(None)


def _text(value: Scalar) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
