"""Row conditions are data: what they compare, and that nothing else gets through."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.tools.great_expectations import conditions, validation
from e2i.tools.great_expectations.conditions import (
    Any_,
    Compare,
    ConditionLimitError,
    Every,
    IsNull,
    NoConditionError,
)
from e2i.tools.great_expectations.suite import Suite

INJECTED = [
    "a.to_pickle('pwn') is None",
    "@pd.io.common.os.system('touch pwn') == 0",
    "__import__('os').system('touch pwn') == 0",
    "a == 1 or b.to_csv('pwn') is None",
    "`a`.map(print).isnull()",
    "a == `b`",
    'col("a").to_pickle("pwn") == 1',
    "a == 'x' + 'y'",
    "a[0] == 1",
    "a in b",
    "lambda: 0",
    "a == 1; b == 2",
    "a == 'it\\'s'",
    "",
    "a ==",
    "a > nan",
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a > 0", Compare("a", ">", 0)),
        ('col("a b") <= -1.5', Compare("a b", "<=", -1.5)),
        ("`a b` == 'x'", Compare("a b", "==", "x")),
        ("a != True", Compare("a", "!=", True)),
        ("a in [1, 2]", Compare("a", "IN", (1, 2))),
        ('a not in ("x", "y")', Compare("a", "NOT_IN", ("x", "y"))),
        ("a.isnull()", IsNull("a", True)),
        ('col("a").notNull()', IsNull("a", False)),
        ("a > 0 & b < 1 and c == 2", Every((Compare("a", ">", 0), Compare("b", "<", 1), Compare("c", "==", 2)))),
        (
            "a > 0 and b < 1 | c == 2",
            Any_((Every((Compare("a", ">", 0), Compare("b", "<", 1))), Compare("c", "==", 2))),
        ),
        ("(a > 0)", Compare("a", ">", 0)),
    ],
)
def test_a_text_of_comparisons_is_read(text: str, meant: conditions.Condition) -> None:
    assert conditions.read(text) == meant


@pytest.mark.parametrize("text", INJECTED)
def test_anything_but_comparisons_is_refused(text: str) -> None:
    with pytest.raises(NoConditionError):
        conditions.read(text)
    with pytest.raises(NoConditionError):
        conditions.read({"type": "pass_through", "pass_through_filter": text})


NESTED = "(" * 20 + "a > 0" + ")" * 20


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (f"({NESTED})", "parentheses are more than 20 deep"),
        ("(" * 400 + "a > 0" + ")" * 400, "parentheses are more than 20 deep"),
        ("(" * 9_000 + "a > 0" + ")" * 9_000, "parentheses are more than 20 deep"),
        ("a == 0" + " " * 20_000 + "or b == 1", "it has 20,015 characters; write at most 20,000"),
        (" or ".join(["a == 1"] * 101), "more than 100 comparisons"),
        ("a == " + "9" * 5_000, "a whole number has at most 64 bits"),
        ("a == " + "9" * 20, "a whole number has at most 64 bits"),
        ("a in [1, -9223372036854775809]", "a whole number has at most 64 bits"),
        ("a == 1e400", "finite"),
        ('a in [1, "x"]', "a list has texts and numbers"),
        ('a not in ("x", 1.5)', "a list has texts and numbers"),
        ("a in [1, True]", "not truth values"),
        ("a in [True]", "not truth values"),
    ],
)
def test_too_large_conditions_and_values_that_no_column_has_are_named(given_: str, message: str) -> None:
    for condition in (given_, {"type": "pass_through", "pass_through_filter": given_}):
        with pytest.raises(ConditionLimitError, match=message):
            conditions.read(condition)


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        ("==", 10**5_000, "64 bits"),
        ("IN", [1, "x"], "texts and numbers"),
        ("NOT_IN", [True], "truth values"),
        ("IN", [2**70], "64 bits"),
    ],
    ids=["digits", "mixture", "truth values", "digits in a list"],
)
def test_the_librarys_own_form_has_the_same_limits(operator: str, value: object, message: str) -> None:
    given_ = {"type": "comparison", "column": {"name": "a"}, "operator": operator, "parameter": value}
    with pytest.raises(ConditionLimitError, match=message):
        conditions.read(given_)


def test_a_condition_within_the_limits_is_read() -> None:
    assert conditions.read(NESTED) == Compare("a", ">", 0)
    assert conditions.read(f"a in [{2**64 - 1}, {-(2**63)}, 1.5]") == Compare("a", "IN", (2**64 - 1, -(2**63), 1.5))
    assert conditions.read(f"a == {'0' * 5_000}7") == Compare("a", "==", 7)


@pytest.mark.parametrize("text", ["a == " + "1" * 19_000 + "x", "a == 1." + "1" * 19_000 + "x", " " * 19_000 + "!"])
def test_a_long_number_takes_no_more_time_than_its_length(text: str) -> None:
    before = time.process_time()
    with pytest.raises(NoConditionError):
        conditions.read(text)
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    "given_",
    [
        {"type": "comparison", "column": {"name": "a"}, "operator": "==", "parameter": "x"},
        {"type": "nullity", "column": {"name": "a"}, "is_null": False},
        {"type": "comparison", "column": {"name": "a"}, "operator": "IN", "parameter": ["x", "y"]},
        {
            "type": "and",
            "conditions": [
                {"type": "comparison", "column": {"name": "a"}, "operator": ">", "parameter": 1},
                {"type": "nullity", "column": {"name": "b"}, "is_null": True},
            ],
        },
    ],
)
def test_the_librarys_own_form_survives_the_way_through_ours(given_: dict[str, Any]) -> None:
    assert conditions.library_form(conditions.read(given_)).dict() == given_


@pytest.mark.parametrize(
    "given_",
    [
        1,
        {},
        {"type": "comparison", "column": {"name": "a`.map(print)"}, "operator": "==", "parameter": 1},
        {"type": "comparison", "column": {"name": "a"}, "operator": "is", "parameter": 1},
        {"type": "comparison", "column": {"name": "a"}, "operator": "==", "parameter": float("nan")},
        {"type": "comparison", "column": {"name": "a"}, "operator": "==", "parameter": {"x": 1}},
        {"type": "other", "conditions": []},
    ],
)
def test_a_structure_that_is_no_condition_is_refused(given_: object) -> None:
    with pytest.raises(NoConditionError):
        conditions.read(given_)


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    with contextlib.suppress(NoConditionError):
        conditions.read(text)


@given(st.text(st.characters(exclude_characters="\"'\\\n", exclude_categories=["Cs"]), max_size=20))
def test_a_text_is_compared_as_it_is(value: str) -> None:
    assert conditions.read(f'a == "{value}"') == Compare("a", "==", value)


@pytest.mark.parametrize("value", ["' or 1 == 1 or '", "@x", "`b`", "x\ty", "#", "__import__('os')"])
def test_the_library_compares_a_text_and_executes_none(value: str) -> None:
    frame = pd.DataFrame({"a": [1, None], "kind": [value, "other"]})
    condition = {"type": "comparison", "column": {"name": "kind"}, "operator": "==", "parameter": value}
    item = {"type": "expect_column_values_to_not_be_null", "column": "a", "row_condition": condition}
    suite = Suite.model_validate({"name": "s", "expectations": [item]})
    (result,) = validation.results_of(frame, suite, 5)
    assert result.success and result.result["element_count"] == 1
