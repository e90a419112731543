"""Replace the library's regular-expression metrics by linear-time ones.

Importing this module replaces the metrics of Great Expectations, which use Python's ``re`` and can run practically
forever on a pattern such as ``(a+)+$``.

In: a column and patterns. Out: which values match.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations import metrics  # noqa: F401 - first the library's, which these replace
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from e2i.spec import patterns

if TYPE_CHECKING:
    import pandas as pd


def _replace(metric: str, keys: tuple[str, ...], condition: Callable[..., Any], **defaults: Any) -> None:
    """Register a metric for pandas in place of the one of that name."""

    def _pandas(cls: type, column: pd.Series[Any], **given: Any) -> Any:
        return condition(column, **{key: given[key] for key in keys})

    members = {
        "condition_metric_name": f"column_values.{metric}",
        "condition_value_keys": keys,
        "default_kwarg_values": defaults,
        "_pandas": column_condition_partial(engine=PandasExecutionEngine)(_pandas),
    }
    type(metric, (ColumnMapMetricProvider,), members)  # the library registers the metric when the class is defined


def _found(column: pd.Series[Any], regex: str) -> pd.Series[bool]:
    """Return, for each value, whether the pattern is found."""
    return column.astype(str).map(patterns.search(regex)).astype(bool)


def _absent(column: pd.Series[Any], regex: str) -> pd.Series[bool]:
    return ~_found(column, regex)


def _some(column: pd.Series[Any], regex_list: Sequence[str], match_on: str) -> pd.Series[bool]:
    """Return, for each value, whether any of the patterns, or all, are found."""
    return _count(column, regex_list) >= (len(regex_list) if match_on == "all" else 1)


def _none(column: pd.Series[Any], regex_list: Sequence[str]) -> pd.Series[bool]:
    return _count(column, regex_list) == 0


def _count(column: pd.Series[Any], regex_list: Sequence[str]) -> pd.Series[int]:
    """Return, for each value, how many of the patterns are found."""
    import pandas as pd

    return sum((_found(column, regex).astype(int) for regex in regex_list), pd.Series(0, column.index))


def _fits(column: pd.Series[Any], json_schema: dict[str, Any]) -> pd.Series[bool]:
    """Return, for each value, whether it is JSON that matches the schema."""
    from jsonschema import validators  # type: ignore[import-untyped]  # it has no types

    kind = validators.validator_for(json_schema)
    kind.check_schema(json_schema)
    validator = validators.extend(kind, {"pattern": _pattern})(json_schema)
    return column.map(lambda text: validator.is_valid(json.loads(text))).astype(bool)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Exception]:
    """Implement the keyword ``pattern`` of JSON Schema."""
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not patterns.search(pattern)(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_replace("match_regex", ("regex",), _found)
_replace("not_match_regex", ("regex",), _absent)
_replace("match_regex_list", ("regex_list", "match_on"), _some, match_on="any")
_replace("not_match_regex_list", ("regex_list",), _none)
_replace("match_json_schema", ("json_schema",), _fits)
