"""Structured filters: the rows they keep, by type of column, and the values that they refuse."""

from __future__ import annotations

import math
from datetime import date, time
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import arrow_tables
from e2i.catalog.columns import ColumnProblem, KnownTable
from e2i.errors import StepError
from e2i.tools.data.filters import Filter, mask, problems

FRAME = pa.Table.from_pandas(pd.DataFrame(
    {
        "name": ["a", "b", None, "d"],
        "count": [1.0, 2.0, None, 4.0],
        "flag": [True, None, False, True],
        "at": pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-04-01"], utc=True),
    }
))  # fmt: skip


def kept(table: pa.Table, *filters: dict[str, object]) -> list[int]:
    met = mask(table, [Filter.model_validate(item) for item in filters]).to_pylist()
    assert set(met) <= {True, False}
    return [index for index, meets in enumerate(met) if meets]


def rows(*filters: dict[str, object]) -> list[int]:
    return kept(FRAME, *filters)


@pytest.mark.parametrize(
    ("column", "op", "value", "expected"),
    [
        ("name", "eq", "b", [1]),
        ("name", "ne", "b", [0, 3]),
        ("name", "gt", "a", [1, 3]),
        ("count", "lt", 2, [0]),
        ("count", "le", 2, [0, 1]),
        ("count", "ge", 2.0, [1, 3]),
        ("count", "in", [1, 4], [0, 3]),
        ("count", "not_in", [1, 4], [1]),
        ("count", "is_null", None, [2]),
        ("name", "not_null", None, [0, 1, 3]),
        ("flag", "eq", True, [0, 3]),
        ("at", "ge", "2024-02-01", [1, 3]),
        ("at", "lt", "2024-02-01T01:00:00+01:00", [0]),
    ],
)
def test_each_operation_keeps_the_rows_that_meet_it_and_no_missing_value(
    column: str, op: str, value: object, expected: list[int]
) -> None:
    assert rows({"column": column, "op": op, "value": value}) == expected


def test_a_row_must_meet_every_filter() -> None:
    assert rows({"column": "count", "op": "gt", "value": 1}, {"column": "name", "op": "ne", "value": "d"}) == [1]


@pytest.mark.parametrize(
    ("column", "value"), [("count", "2"), ("name", 2), ("flag", 1), ("count", True), ("at", "soon")]
)
def test_a_value_of_another_type_is_an_error_and_not_an_empty_answer(column: str, value: object) -> None:
    with pytest.raises(StepError, match=f"column '{column}' has"):
        rows({"column": column, "op": "eq", "value": value})


def test_an_unknown_column_is_named_with_the_nearest() -> None:
    with pytest.raises(StepError) as caught:
        rows({"column": "cout", "op": "eq", "value": 1})
    assert caught.value.code == "unknown-column"
    assert caught.value.hint == 'did you mean "count"?'


@pytest.mark.parametrize(
    "item",
    [
        {"column": "a", "op": "in", "value": 1},
        {"column": "a", "op": "eq", "value": [1]},
        {"column": "a", "op": "eq"},
        {"column": "a", "op": "is_null", "value": 1},
        {"column": "a", "op": "query", "value": "a.to_pickle('pwn') is None"},
        {"expression": "a > 1"},
    ],
)
def test_the_value_must_fit_the_operation(item: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Filter.model_validate(item)


TYPED = {
    "price": pa.array([Decimal("19.99"), Decimal("0.10"), Decimal("5.00"), None], pa.decimal128(10, 2)),
    "wide": pa.array([Decimal("19.99"), Decimal("0.10"), Decimal("5.00"), None], pa.decimal256(60, 2)),
    "f32": pa.array([0.1, 0.25, math.nan, None], pa.float32()),
    "f16": pa.array([0.1, 0.25, math.nan, None], pa.float16()),
    "f64": pa.array([0.1, 0.25, math.nan, None]),
    "acct": pa.array([123456789012345678, 123456789012345679, -1, None]),
    "big": pa.array([2**64 - 1, 2**63, 0, None], pa.uint64()),
    "tiny": pa.array([-128, 127, 0, None], pa.int8()),
    "bytes": pa.array([b"ab", b"b", b"", None]),
    "three": pa.array([b"abc", b"abd", b"xyz", None], pa.binary(3)),
    "kind": pa.array(["a", "b", "a", None]).dictionary_encode(),
    "day": pa.array([date(2024, 1, 1), date(2024, 1, 2), date(1969, 12, 31), None]),
    "clock": pa.array([time(9, 30), time(9, 30, 15), time(0), None], pa.time64("us")),
    "hour": pa.array([time(9, 30), time(9, 30, 15), time(0), None], pa.time32("s")),
    "ns": pa.array([1, 2, 3, None], pa.timestamp("ns", "UTC")),
    "sec": pa.array([1704067200, 1704067201, 0, None], pa.timestamp("s", "Europe/Berlin")),
    "flag": pa.array([True, False, True, None]),
    "none": pa.nulls(4),
}


@pytest.mark.parametrize(
    ("column", "op", "value", "expected"),
    [
        ("price", "ne", 19.99, [1, 2]), ("price", "ge", 0.1, [0, 1, 2]), ("price", "eq", 19.99, [0]), ("price", "eq", "19.99", [0]),
        ("price", "gt", 4.999, [0, 2]), ("price", "lt", 0.101, [1]), ("price", "le", 1e12, [0, 1, 2]), ("price", "ge", 1e12, []), ("price", "in", [5, 0.1], [1, 2]),
        ("wide", "eq", 0.1, [1]), ("wide", "gt", 5, [0]),
        ("f32", "eq", 0.1, [0]), ("f32", "in", [0.1], [0]), ("f32", "not_in", [0.1], [1]), ("f32", "ne", 0.1, [1]), ("f32", "is_null", None, [2, 3]), ("f32", "not_null", None, [0, 1]),
        ("f16", "eq", 0.1, [0]), ("f16", "in", [0.25], [1]), ("f16", "gt", 0.2, [1]),
        ("f64", "in", [0.1], [0]), ("f64", "ge", 0, [0, 1]),
        ("acct", "eq", 123456789012345678, [0]), ("acct", "in", [123456789012345679], [1]), ("acct", "ge", 0.5, [0, 1]), ("acct", "lt", -0.5, [2]),
        ("acct", "lt", 1e30, [0, 1, 2]), ("acct", "gt", 1e30, []), ("acct", "gt", -1e30, [0, 1, 2]), ("acct", "eq", -1.0, [2]),
        ("big", "eq", 2**64 - 1, [0]), ("big", "ge", -5, [0, 1, 2]), ("tiny", "lt", 300, [0, 1, 2]), ("tiny", "ge", -128, [0, 1, 2]), ("tiny", "gt", 127, []),
        ("bytes", "eq", "ab", [0]), ("bytes", "in", ["b", ""], [1, 2]), ("three", "eq", "abc", [0]), ("three", "in", ["abd", "xyz"], [1, 2]), ("three", "gt", "abc", [1, 2]),
        ("kind", "eq", "a", [0, 2]), ("kind", "not_in", ["a"], [1]), ("kind", "gt", "a", [1]),
        ("day", "eq", "2024-01-01", [0]), ("day", "in", ["2024-01-02", "1969-12-31"], [1, 2]), ("day", "gt", "2024-01-01T12:00", [1]), ("day", "lt", "1970-01-01", [2]),
        ("clock", "ge", "09:30", [0, 1]), ("clock", "eq", "09:30:15", [1]), ("hour", "lt", "09:30:00.5", [0, 2]),
        ("ns", "eq", "1970-01-01T00:00:00.000000002Z", [1]), ("ns", "gt", "1970-01-01T00:00:00.000000001", [1, 2]),
        ("sec", "eq", "2024-01-01T01:00:00+01:00", [0]), ("sec", "gt", "2024-01-01T00:00:00.5", [1]),
        ("flag", "ne", True, [1]), ("none", "eq", 1, []), ("none", "is_null", None, [0, 1, 2, 3]), ("none", "not_in", ["x"], []),
    ],
)  # fmt: skip
def test_a_literal_is_compared_in_the_type_of_its_column(
    column: str, op: str, value: object, expected: list[int]
) -> None:
    table = pa.table(TYPED)
    assert kept(table, {"column": column, "op": op, "value": value}) == expected
    assert found_before(table, column, op, value) == []


@pytest.mark.parametrize(
    ("column", "op", "value"),
    [
        ("price", "eq", 19.999), ("price", "in", [1, 1e12]), ("price", "ge", "much"), ("f32", "eq", 2**24 + 1), ("f32", "eq", 1e300), ("f64", "in", [2**53 + 1]), ("f64", "eq", "0.1"),
        ("acct", "eq", 0.5), ("acct", "eq", "x"), ("acct", "in", [True]), ("tiny", "eq", 300), ("big", "ne", -1), ("bytes", "eq", 1), ("three", "eq", "ab"), ("kind", "eq", 1),
        ("day", "eq", "2024-01-01T12:00"), ("day", "eq", "2024-02-30"), ("day", "gt", 20240101), ("clock", "ge", "9 am"), ("clock", "ge", "24:00"), ("hour", "eq", "09:30:00.5"),
        ("ns", "eq", "soon"), ("sec", "eq", "2024-01-01T00:00:00.5"), ("flag", "eq", "true"), ("lists", "eq", 1), ("parts", "ge", "a"), ("length", "ge", 5),
    ],
)  # fmt: skip
def test_a_literal_without_a_form_in_the_type_is_refused_in_the_plan_and_in_the_run(
    column: str, op: str, value: object
) -> None:
    more = {
        "lists": pa.array([[1], [], None, [2]]),
        "parts": pa.array([{"a": 1}] * 4),
        "length": pa.array([1, 2, 3, 4], pa.duration("s")),
    }
    table = pa.table(TYPED | more)
    with pytest.raises(StepError, match=f"column '{column}' has the type .* cannot be compared with") as raised:
        kept(table, {"column": column, "op": op, "value": value})
    assert raised.value.code == "bad-filter"
    (problem,) = found_before(table, column, op, value)
    assert problem.message == raised.value.message and problem.path[:3] == ("where", 0, "value")


def test_any_column_can_be_asked_for_nulls() -> None:
    table = pa.table(
        {"l": pa.array([[1], None]), "s": pa.array([{"a": 1}, None]), "d": pa.array([1, None], pa.duration("s"))}
    )
    for name in table.column_names:
        assert kept(table, {"column": name, "op": "is_null"}) == [1]
        assert kept(table, {"column": name, "op": "not_null"}) == [0]


@given(st.data())
@settings(max_examples=200)
def test_each_value_of_a_column_is_found_by_its_own_text(data: st.DataObject) -> None:
    kind = data.draw(
        st.sampled_from(
            [item for item in arrow_tables.FLAT if not pa.types.is_duration(item) and item != pa.time64("ns")]
        )
    )
    column = pa.array(data.draw(st.lists(arrow_tables.values(kind), min_size=1, max_size=5)), kind)
    value = column[0]
    if pa.types.is_timestamp(kind):
        literal: object = str(pa.scalar(value.value, pa.timestamp(kind.unit)))
    elif pa.types.is_binary(kind) or (pa.types.is_fixed_size_binary(kind) and not pa.types.is_decimal(kind)):
        assume(value.as_py().isascii())
        literal = value.as_py().decode()
    else:
        literal = (
            value.as_py()
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
            else str(value)
        )
    assume(literal == literal)  # NaN is a missing value
    met = kept(pa.table({"c": column}), {"column": "c", "op": "eq", "value": literal})
    assert met == kept(pa.table({"c": column}), {"column": "c", "op": "in", "value": [literal]})
    assert met == [index for index, item in enumerate(column) if item == value or (literal == 0 and item.as_py() == 0)]


def found_before(table: pa.Table, column: str, op: str, value: object) -> list[ColumnProblem]:
    known = KnownTable({field.name: str(field.type) for field in table.schema})
    return list(problems(known, [{"column": column, "op": op, "value": value}]))
