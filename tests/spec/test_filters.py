"""Each filter: what it does, and what it refuses."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from e2i.spec import filters
from e2i.spec.filters import FILTERS, NOTHING, TESTS
from e2i.spec.values import Budget, ExpressionError


def apply(name: str, *arguments: Any, **named: Any) -> Any:
    return FILTERS[name](Budget(), *arguments, **named)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("abs", (-3,), 3),
        ("default", (NOTHING, 5), 5),
        ("default", ("", 5), ""),
        ("default", ("", 5, True), 5),
        ("default", (NOTHING,), ""),
        ("first", ([1, 2],), 1),
        ("first", ("ab",), "a"),
        ("float", ("1.5",), 1.5),
        ("float", ("x", 0.0), 0.0),
        ("int", ("12",), 12),
        ("int", ("12.9",), 12),
        ("int", (-1.9,), -1),
        ("int", ("x", None), None),
        ("int", ([1], 3), 3),
        ("join", ([1, True, None, "a"], ", "), "1, true, null, a"),
        ("join", ([],), ""),
        ("keys", ({"b": 1, "a": 2},), ["b", "a"]),
        ("last", ([1, 2],), 2),
        ("length", ({"a": 1},), 1),
        ("length", ("abc",), 3),
        ("lower", ("ÄB",), "äb"),
        ("max", ([1, 2.5],), 2.5),
        ("min", (["b", "A"],), "A"),
        ("replace", ("aab", "a", "xy"), "xyxyb"),
        ("round", (2.567, 1), 2.6),
        ("round", (2.51,), 3.0),
        ("round", (2.11, 1, "ceil"), 2.2),
        ("round", (2.19, 1, "floor"), 2.1),
        ("round", (5,), 5),
        ("sort", (["b", "A", "c"],), ["A", "b", "c"]),
        ("sort", (["b", "A"], False, True), ["A", "b"]),
        ("sort", ([2, 1, 3], True), [3, 2, 1]),
        ("string", (0.5,), "0.5"),
        ("sum", ([1, 2.5],), 3.5),
        ("sum", ([],), 0),
        ("tojson", ({"a": [1, None, "é"]},), '{"a": [1, null, "é"]}'),
        ("trim", ("  a ",), "a"),
        ("trim", ("--a-", "-"), "a"),
        ("unique", (["a", "A", "b", None, None],), ["a", "b", None]),
        ("unique", (["a", "A"], True), ["a", "A"]),
        ("upper", ("aß",), "ASS"),
        ("values", ({"b": 1, "a": 2},), [1, 2]),
    ],
)
def test_what_each_filter_gives(name: str, arguments: tuple[Any, ...], expected: object) -> None:
    assert apply(name, *arguments) == expected
    assert type(apply(name, *arguments)) is type(expected)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("abs", ("x",)),
        ("abs", (True,)),
        ("first", ([],)),
        ("first", ({},)),
        ("last", ("",)),
        ("float", ("x",)),
        ("float", ("9" * 500,)),
        ("int", ("x",)),
        ("int", ([1],)),
        ("int", (float("inf"),)),
        ("int", ("9" * 100,)),
        ("join", ("abc",)),
        ("join", ([1], 2)),
        ("keys", ([1],)),
        ("length", (5,)),
        ("lower", (5,)),
        ("max", ([],)),
        ("max", ([1, "a"],)),
        ("min", ([True, 2],)),
        ("replace", ("a" * 1000, "", "b" * 10_000)),
        ("round", (1.5, 21)),
        ("round", (1.5, True)),
        ("round", (1.5, 0, "up")),
        ("round", (float("nan"), 1)),
        ("sort", ([1, "a"],)),
        ("sort", ([[1], [2]],)),
        ("sum", ([1, "a"],)),
        ("tojson", ({"a": float("nan")},)),
        ("tojson", (object(),)),
        ("unique", ([[1]],)),
        ("values", ("a",)),
    ],
)
def test_what_each_filter_refuses(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ExpressionError):
        apply(name, *arguments)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("boolean", True, 1),
        ("defined", None, NOTHING),
        ("false", False, 0),
        ("float", 1.0, 1),
        ("integer", 1, True),
        ("mapping", {}, []),
        ("none", None, 0),
        ("number", 0.5, True),
        ("sequence", [], "a"),
        ("string", "", None),
        ("true", True, 1),
        ("undefined", NOTHING, None),
    ],
)
def test_what_each_test_tells_apart(name: str, yes: object, no: object) -> None:
    assert TESTS[name](yes) is True
    assert TESTS[name](no) is False


def test_every_filter_is_listed_in_order_and_takes_a_budget_and_a_value() -> None:
    assert list(FILTERS) == sorted(FILTERS)
    assert list(TESTS) == sorted(TESTS)
    for function in FILTERS.values():
        assert list(inspect.signature(function).parameters)[:2] == ["budget", "value"]
    assert set(filters.ASK_WHETHER_THERE) <= {*FILTERS, *TESTS}
