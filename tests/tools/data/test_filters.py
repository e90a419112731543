"""Structured filters against pandas, and the values that they refuse."""

import pandas as pd
import pytest
from pydantic import ValidationError

from e2i.errors import StepError
from e2i.tools.data.filters import Filter, mask

FRAME = pd.DataFrame(
    {
        "name": ["a", "b", None, "d"],
        "count": [1.0, 2.0, None, 4.0],
        "flag": [True, None, False, True],
        "at": pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-04-01"], utc=True),
    }
)


def rows(*filters: dict[str, object]) -> list[int]:
    return FRAME.index[mask(FRAME, [Filter.model_validate(item) for item in filters])].tolist()


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
