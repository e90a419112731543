"""Find expectations that the type of their column rules out. In: an expectation, Arrow types. Out: what is wrong.

Only what the library cannot compute for any row: a mean of texts, a date that is compared with a number. A test tries
each of these rules with the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["text", "number", "boolean", "time"]

OF_NUMBERS = frozenset({
    "expect_column_mean_to_be_between", "expect_column_median_to_be_between", "expect_column_stdev_to_be_between",
    "expect_column_sum_to_be_between", "expect_column_quantile_values_to_be_between",
    "expect_column_value_z_scores_to_be_less_than", "expect_column_values_to_not_be_outliers",
})  # fmt: skip
"""Expectations that compute with the values."""
OF_TEXTS = frozenset({
    "expect_column_values_to_match_strftime_format", "expect_column_values_to_be_dateutil_parseable",
    "expect_column_values_to_match_json_schema",
})  # fmt: skip
"""Expectations that read the values as texts."""
BOUNDED = frozenset({
    "expect_column_values_to_be_between", "expect_column_max_to_be_between", "expect_column_min_to_be_between",
})  # fmt: skip
"""Expectations whose bounds are compared with the values."""
IN_DATABASES = frozenset({
    "expect_column_values_to_match_like_pattern", "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern", "expect_column_values_to_not_match_like_pattern_list",
})  # fmt: skip
"""Expectations that only databases compute."""


def misfit(item: Mapping[str, Any], types: Mapping[str, str | None]) -> tuple[str, str] | None:
    """Return the argument that does not suit the column's type, and why; None when nothing is known to be wrong."""
    name, column = item.get("type"), item.get("column")
    if name in IN_DATABASES:
        return "type", "patterns of LIKE are for databases (validate_source); match a regular expression instead"
    kind = kind_of(types.get(column)) if isinstance(column, str) else None
    if kind is None:
        return None
    arrow = f"column {column!r} is {types.get(str(column))}"
    if name in OF_NUMBERS and (kind == "text" or types.get(str(column)) == "date32[day]"):
        return "column", f"{arrow}, and {name} computes with numbers"
    if name in OF_TEXTS and kind != "text":
        return "column", f"{arrow}, and {name} reads texts"
    if name in BOUNDED:
        for bound in ("min_value", "max_value"):
            value = item.get(bound)
            if _is_number(value) and kind in ("text", "time"):
                return bound, f"{arrow}, which cannot be compared with the number {value!r}"
            if isinstance(value, str) and kind == "number":
                return bound, f"{arrow}, which cannot be compared with the text {value!r:.60}"
    return None


def kind_of(arrow: str | None) -> Kind | None:
    """Return what the values of an Arrow type are; None for other types, and for a type that is not known."""
    if arrow in ("string", "large_string"):
        return "text"
    if arrow == "bool":
        return "boolean"
    if arrow is not None and arrow.startswith(("int", "uint", "float", "double", "halffloat")):
        return "number"
    if arrow is not None and arrow.startswith(("timestamp", "date32")):
        return "time"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
