"""Numbers keep their value when they are cast, and what would not is named by column and row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.errors import StepError
from e2i.tools.feast import casting


def cast(values: Any, kind: Any) -> list[Any]:
    found: list[Any] = casting.exact(pd.DataFrame({"f": values}), {"f": kind}, ())["f"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.0, 2.0, np.nan], "int64", [1, 2, None]),
        ([1, 2], "float64", [1.0, 2.0]),
        ([0.5, 2.0], "float32", [0.5, 2.0]),
        ([2**53], "float64", [2.0**53]),
        ([0, 1, 1], "bool", [False, True, True]),
        ([True, False], "int32", [1, 0]),
        (pd.array([1, None], dtype="Int64"), "int32", [1, None]),
        ([Decimal("3.0"), None], "int64", [3, None]),
        ([Decimal("0.5")], "float64", [0.5]),
        (["a", None], "string", ["a", None]),
        (pd.Categorical(["a", "b"]), "string", ["a", "b"]),
        ([None, None], "float64", [None, None]),
        (np.array([1, 2], dtype="uint8"), "int64", [1, 2]),
        ([2**62, 2.0], "int64", [2**62, 2]),
        ([float("inf")], "float32", [float("inf")]),
        (pd.Series([2**63 - 1]), "int64", [2**63 - 1]),
    ],
)
def test_a_number_is_cast_where_it_keeps_its_value(values: Any, kind: str, expected: list[Any]) -> None:
    assert cast(values, kind) == expected


@pytest.mark.parametrize(
    ("values", "kind", "row"),
    [
        ([1.0, 2.5], "int64", 1),
        ([1.0, 0.1], "float32", 1),
        ([2**53 + 1], "float64", 0),
        ([1, 2**31], "int32", 1),
        ([float("inf")], "int64", 0),
        ([2.0**63], "int64", 0),
        (np.array([0, 2**63], dtype="uint64"), "int64", 1),
        ([0, 2], "bool", 1),
        ([None, "3"], "int64", 1),
        ([3, 4], "string", 0),
        ([1, "a"], "int64", 1),
        ([Decimal("0.1")], "float64", 0),
        ([-1.0, 1e300], "float32", 1),
        ([2**63 - 1], "float64", 0),
        ([5], "timestamp", 0),
        ([-1], "bool", 0),
    ],
)
def test_a_value_without_an_exact_form_is_named(values: Any, kind: str, row: int) -> None:
    with pytest.raises(StepError, match=f"column 'f', row {row}: ") as caught:
        cast(values, kind)
    assert caught.value.code == "inexact-value"


@given(st.lists(st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=5))
def test_what_is_cast_is_equal(values: list[float]) -> None:
    for kind in ("int32", "int64", "float32", "float64", "bool"):
        try:
            found = cast(values, kind)
        except StepError:
            continue
        assert all(
            (new is None and old != old) or new == old
            for new, old in zip(found, pd.Series(values).tolist(), strict=True)
        )


def test_times_are_utc_and_a_day_is_its_midnight() -> None:
    moment = pd.Timestamp("2024-01-01T12:00:00.123456789")
    utc = pd.Timestamp("2024-01-01T12:00:00.123456", tz="UTC")
    assert cast([moment], "timestamp") == [utc]
    assert cast([moment.tz_localize("Europe/Zurich")], "timestamp") == [utc - pd.Timedelta(hours=1)]
    assert cast([moment.date()], "timestamp") == [pd.Timestamp("2024-01-01", tz="UTC")]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a"], "string"),
        ([1, 2], "int64"),
        ([1.0, 2.0], "int64"),
        (pd.Categorical(["a"]), "string"),
        ([None], "string"),
    ],
)
def test_the_type_of_a_key_comes_from_its_values(values: Any, kind: str) -> None:
    assert casting.key_type(pd.DataFrame({"k": values}), "k") == kind


@pytest.mark.parametrize("values", [[1.5], [True], [pd.Timestamp("2024-01-01")], [1, "a"]])
def test_other_values_are_no_keys(values: Any) -> None:
    with pytest.raises(StepError, match="cannot be keys"):
        casting.key_type(pd.DataFrame({"k": values}), "k")


def test_a_missing_column_and_a_null_key_are_named() -> None:
    frame = pd.DataFrame({"key": ["a", None], "calls": [1, 2]})
    with pytest.raises(StepError, match="no column 'call'") as caught:
        casting.exact(frame, {"call": "int64"}, ())
    assert caught.value.hint == 'did you mean "calls"?'
    with pytest.raises(StepError, match="column 'key' has no value in row 1"):
        casting.exact(frame, {"key": "string"}, ("key",))
