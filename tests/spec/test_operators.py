"""Operators refuse a result that is too big before they make it."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from e2i.spec import operators
from e2i.spec.values import Budget, ExpressionError, MissingError


@pytest.mark.parametrize(
    ("function", "left", "right", "expected"),
    [
        (operators.add, 1, 2.5, 3.5),
        (operators.add, "a", "b", "ab"),
        (operators.add, [1], [2], [1, 2]),
        (operators.multiply, "ab", 2, "abab"),
        (operators.multiply, 2, [1], [1, 1]),
        (operators.multiply, "ab", -5, ""),
        (operators.power, 2, 62, 2**62),
        (operators.power, -1, 2**62, 1),
        (operators.power, 2.0, 100, 2.0**100),
    ],
)
def test_operators_work_on_numbers_texts_and_lists(
    function: operators.Binary, left: Any, right: Any, expected: Any
) -> None:
    assert function(left, right, Budget()) == expected


@pytest.mark.parametrize(
    ("function", "left", "right"),
    [
        (operators.add, 2**63 - 1, 1),
        (operators.add, True, 1),
        (operators.add, "a", 1),
        (operators.add, [0] * 60_000, [0] * 60_000),
        (operators.add, "a" * 600_000, "a" * 600_000),
        (operators.multiply, "a", 2**62),
        (operators.multiply, [1], 2**62),
        (operators.multiply, 2**62, 2**62),
        (operators.multiply, "a", True),
        (operators.multiply, 10**50, 0),
        (operators.power, 2, 2**62),
        (operators.power, -2, 64),
        (operators.power, 0, -1),
        (operators.power, -8, 0.5),
        (operators.power, 10.0, 400),
        (operators.arithmetic("%", operator.mod), "%s", 1),
        (operators.arithmetic("-", operator.sub), float("inf"), float("inf")),
    ],
)
def test_what_is_too_big_or_no_number_is_refused(function: operators.Binary, left: Any, right: Any) -> None:
    with pytest.raises(ExpressionError):
        function(left, right, Budget())


def test_only_like_values_have_an_order() -> None:
    assert operators.compare("<", 1, 1.5, Budget())
    assert operators.compare("<", "a", "b", Budget())
    assert operators.compare("!=", [1], "a", Budget())
    for left, right in [(1, "a"), ([1], [2]), (None, 1), (True, 2)]:
        with pytest.raises(ExpressionError):
            operators.compare("<", left, right, Budget())


def test_a_shared_value_is_charged_for_as_often_as_it_stands_there() -> None:
    bomb: list[Any] = [0] * 10
    for _ in range(20):
        bomb = [bomb] * 10
    with pytest.raises(ExpressionError, match="more than 100,000 values"):
        operators.compare("==", bomb, bomb, Budget())


def test_a_value_in_itself_is_no_endless_loop() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ExpressionError, match="nested"):
        operators.contains(endless, 1, Budget())


def test_a_missing_name_knows_what_was_there() -> None:
    with pytest.raises(MissingError) as caught:
        operators.look_up({"table": 1}, "tabel", ("steps", "load"))
    assert (str(caught.value), caught.value.hint) == ('steps.load has no "tabel"', 'did you mean "table"?')


@pytest.mark.parametrize(
    ("container", "key"), [({"a": 1}, 0), ([1], "a"), ([1], True), ([1], 1.0), ("abc", 0), (None, 0)]
)
def test_only_keys_of_mappings_and_indices_of_lists_are_followed(container: Any, key: Any) -> None:
    with pytest.raises(ExpressionError):
        operators.look_up(container, key)
