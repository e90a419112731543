"""Choose and check the rows of a frame before a suite runs on it. In: a frame, values to keep. Out: the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from e2i.errors import BadInput
from e2i.spec.suggest import hint
from e2i.tools.data import filters
from e2i.tools.data.filters import Filter
from e2i.tools.great_expectations import conditions
from e2i.tools.great_expectations.columns import ABOUT_NAMES, ARGUMENTS
from e2i.tools.great_expectations.suite import Suite

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 40
"""Values of a column that an error may suggest."""


def kept(frame: pd.DataFrame, equal: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows whose columns have these values. Raises BadInput when there are none, StepError otherwise."""
    import pyarrow as pa

    rows = frame
    if equal:
        filters.require_columns([str(name) for name in frame.columns], list(equal))
        try:
            table = pa.Table.from_pandas(frame[list(equal)], preserve_index=False)
        except pa.ArrowException as error:
            raise BadInput(f"rows cannot be chosen by {', '.join(equal)}: {error}", code="bad-filter") from error
        rows = frame[filters.mask(table, [_filter(name, value) for name, value in equal.items()]).to_numpy()]
    if rows.empty:
        raise nothing(equal, lambda name: map(str, frame[name].drop_duplicates().head(MOST_VALUES)))
    return rows


def nothing(equal: Mapping[str, Any], values_of: Any) -> BadInput:
    """Return the error for a choice of rows without rows; ``values_of`` returns the values that a column has."""
    if not equal:
        return BadInput("there are no rows to check", code="empty-table", hint="check what makes the table")
    name, value = next(iter(equal.items()))
    said = " and ".join(f"{column} = {wanted!r}" for column, wanted in equal.items())
    return BadInput(
        f"there are no rows with {said}",
        code="empty-table",
        hint=hint(str(value), list(values_of(name))) or f"check the values of {name}",
    )


def require(suite: Suite, present: Sequence[str]) -> None:
    """Raise BadInput for an expectation about a column that is not there, unless it is about the columns' names."""
    for index, item in enumerate(suite.expectations):
        condition = item.condition
        named = [] if item.type in ABOUT_NAMES else list(_named(item.arguments))
        named += [] if condition is None else list(conditions.columns(condition))
        for column in named:
            if column not in present:
                raise BadInput(
                    f"expectation {index + 1}, {item.type}: the table has no column {column!r}",
                    code="unknown-column",
                    hint=hint(column, present, most=40),
                )


def _named(arguments: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for argument in ARGUMENTS:
        value = arguments.get(argument)
        found += [str(one) for one in value] if isinstance(value, list | tuple) else [value] if value else []
    return found


def _filter(name: str, value: Any) -> Filter:
    if value is None:
        return Filter(column=name, op="is_null")
    plain = value.item() if callable(getattr(value, "item", None)) else value
    plain = plain.isoformat() if callable(getattr(plain, "isoformat", None)) else plain
    if not isinstance(plain, str | int | float | bool):
        raise BadInput(
            f"rows cannot be chosen by {name} = {value!r:.80}", code="bad-filter", hint="give one value of the column"
        )
    return Filter(column=name, op="eq", value=plain)
