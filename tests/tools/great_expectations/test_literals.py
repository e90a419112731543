"""Values of a suite have the types of their columns: dates, times, decimals, 32-bit numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import BadInput
from e2i.tools.great_expectations.suite import Expectation, Suite
from e2i.tools.great_expectations.validation import validate

IN_SET, BETWEEN = "expect_column_values_to_be_in_set", "expect_column_values_to_be_between"
COLUMNS: dict[str, pa.Array] = {
    "utc": pa.array([datetime(2024, 1, 1, 5, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    "naive": pa.array([datetime(2024, 1, 1, 5), datetime(2024, 2, 1)], pa.timestamp("ms")),
    "day": pa.array([date(2024, 1, 1), date(2024, 1, 2)]),
    "clock": pa.array([time(8), time(9, 30)], pa.time64("us")),
    "price": pa.array([Decimal("19.99"), Decimal("0.10")], pa.decimal128(10, 2)),
    "narrow": pa.array([0.1, 0.2], pa.float32()),
    "code": pa.array(["a", "b"]).dictionary_encode(),
}


def outcomes(ctx: LocalContext, *expectations: dict[str, Any]) -> list[bool]:
    frame = ctx.frame(ctx.table(pa.table(COLUMNS)))
    items = tuple(Expectation.model_validate(expectation) for expectation in expectations)
    found = validate(frame, Suite(name="s", expectations=items), samples=2).outcomes
    assert [outcome.broken for outcome in found] == [None] * len(found)
    return [outcome.success for outcome in found]


@pytest.mark.parametrize(
    ("column", "values", "others"),
    [
        ("utc", ["2024-01-01T05:00:00Z", "2024-02-01"], ["2024-01-01"]),
        ("utc", ["2024-01-01T06:00:00+01:00", date(2024, 2, 1)], ["2024-02-01"]),
        ("naive", ["2024-01-01 05:00", "2024-02-01"], ["2024-01-01"]),
        ("day", ["2024-01-01", date(2024, 1, 2)], ["2024-01-01"]),
        ("clock", ["08:00", "09:30:00"], ["08:00"]),
        ("narrow", [0.1, 0.2], [0.1]),
        ("code", ["a", "b"], ["a"]),
    ],
)
def test_a_set_has_values_of_the_column(ctx: LocalContext, column: str, values: list[Any], others: list[Any]) -> None:
    found = outcomes(
        ctx,
        {"type": IN_SET, "column": column, "value_set": values},
        {"type": IN_SET, "column": column, "value_set": others},
    )
    assert found == [True, False]


@pytest.mark.parametrize(
    ("column", "low", "high", "higher"),
    [
        ("utc", "2024-01-01", "2024-02-01", "2024-01-31"),
        ("naive", "2024-01-01", "2024-02-01", "2024-01-31"),
        ("day", "2024-01-01", "2024-01-02", "2024-01-01"),
        ("narrow", 0.1, 0.2, 0.15),
    ],
)
def test_a_bound_is_a_value_of_the_column(ctx: LocalContext, column: str, low: Any, high: Any, higher: Any) -> None:
    found = outcomes(
        ctx,
        {"type": BETWEEN, "column": column, "min_value": low, "max_value": high},
        {"type": BETWEEN, "column": column, "min_value": low, "max_value": higher},
    )
    assert found == [True, False]


@pytest.mark.parametrize(("column", "value"), [("utc", "yesterday"), ("day", "2024-13-01"), ("utc", 5)])
def test_a_value_without_such_a_form_is_refused(ctx: LocalContext, column: str, value: Any) -> None:
    with pytest.raises(BadInput, match=rf"expectation 1, .*value_set .* is no value of the column '{column}'"):
        outcomes(ctx, {"type": IN_SET, "column": column, "value_set": [value]})
