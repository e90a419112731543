"""Give the values of an expectation the type of their column. In: an expectation, a frame. Out: the expectation.

YAML has texts for dates and 64-bit numbers. Great Expectations compares what it is given: a text is no date, and 0.1 is
no 32-bit number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from e2i.errors import BadInput
from e2i.tools.great_expectations.suite import Expectation

if TYPE_CHECKING:
    import pandas as pd

BOUNDS = ("min_value", "max_value", "value_set")
"""Arguments with values of the column."""
OF_VALUES = (
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_max_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_most_common_value_to_be_in_set",
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
)
"""Expectations whose bounds and sets are values of their column, not counts or lengths."""

Convert = Callable[[Any], Any]
ConversionOf = Callable[[str], Convert | None]
"""Column → the function that gives a value the column's type; None when the value has it already."""


def of_frame(frame: pd.DataFrame) -> ConversionOf:
    """Return the conversions of a frame's columns."""
    return lambda column: _conversion(frame[column]) if column in frame.columns else None


def of_types(types: Mapping[str, type]) -> ConversionOf:
    """Return the conversions of columns that have these types in Python."""
    return lambda column: _OF_DATABASE.get(types.get(column, object))


def fitted(item: Expectation, index: int, conversion: ConversionOf) -> Mapping[str, Any]:
    """Return the arguments with values of the column's type. Raises BadInput for a value that has no such form."""
    column = item.arguments.get("column")
    if item.type not in OF_VALUES or not isinstance(column, str):
        return item.arguments
    convert = conversion(column)
    if convert is None:
        return item.arguments
    found = dict(item.arguments)
    for name in BOUNDS:
        value = found.get(name)
        try:
            if isinstance(value, list | tuple):
                found[name] = [convert(one) for one in value]
            elif value is not None:
                found[name] = convert(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise BadInput(
                f"expectation {index + 1}, {item.type}: {name} {value!r} is no value of the column {column!r}: {error}",
                code="bad-expectation",
            ) from error
    return found


def _conversion(column: pd.Series[Any]) -> Convert | None:
    """Return the function that gives a value the column's type; None when YAML has that type."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return _conversion(column.cat.categories.to_series())
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _moment(getattr(column.dtype, "tz", None))
    if str(column.dtype).lower() in ("float32", "float16"):
        narrow = np.dtype(str(column.dtype).lower()).type
        return lambda value: float(narrow(value))
    first = column.dropna().head(1)
    return _OF_OBJECTS.get(type(first.iloc[0])) if len(first) and column.dtype == object else None


def _moment(zone: Any) -> Convert:
    """Return the conversion to times: those without an offset are UTC, as in ``data.load``."""

    def convert(value: Any) -> Any:
        import pandas as pd

        if isinstance(value, bool | int | float):
            raise TypeError("write a date or a time, such as 2024-01-01T12:00:00Z")
        found = pd.Timestamp(value)
        if zone is None:
            return found if found.tzinfo is None else found.tz_convert("UTC").tz_localize(None)
        return found.tz_localize("UTC") if found.tzinfo is None else found

    return convert


def _day(value: Any) -> date:
    return value if isinstance(value, date) and not isinstance(value, datetime) else date.fromisoformat(str(value))


_OF_OBJECTS: Mapping[type, Convert] = {
    date: _day,
    time: lambda value: value if isinstance(value, time) else time.fromisoformat(str(value)),
    Decimal: lambda value: Decimal(str(value)),
}
_OF_DATABASE: Mapping[type, Convert] = {
    date: _day,
    time: lambda value: value if isinstance(value, time) else time.fromisoformat(str(value)),
    datetime: lambda value: value if isinstance(value, datetime) else datetime.fromisoformat(str(value)),
}
