"""A call that was given ahead is executed once: by the worker, or by another when it was taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.workers.claims import Claims, Taker


@pytest.fixture
def claims() -> Iterator[Claims]:
    made = Claims()
    yield made
    made.close()


def test_the_worker_takes_calls_in_order_until_there_are_no_more(claims: Claims) -> None:
    taker = Taker(claims.taker)
    numbers = [claims.give() for _ in range(3)]
    assert [taker.take(number) for number in numbers] == [True, True, True]
    assert claims.take_back() == 0


def test_what_was_taken_back_is_not_begun_though_later_calls_are(claims: Claims) -> None:
    taker = Taker(claims.taker)
    first, second, third = (claims.give() for _ in range(3))
    assert taker.take(first)
    assert claims.take_back() == 2
    later = claims.give()
    assert [taker.take(number) for number in (second, third, later)] == [False, False, True]
    assert claims.take_back() == 0


@given(st.lists(st.sampled_from(["give", "begin", "back"]), max_size=300))
def test_every_call_is_begun_once_or_comes_back_once(moves: list[str]) -> None:
    claims = Claims()
    taker = Taker(claims.taker)
    numbers: list[int] = []
    lines: list[int] = []
    begun: list[int] = []
    back: list[int] = []
    try:
        for move in [*moves, *["begin"] * len(moves)]:
            if move == "give":
                numbers.append(claims.give())
                lines.append(numbers[-1])
            elif move == "begin" and lines and taker.take(number := lines.pop(0)):
                begun.append(number)
            elif move == "back":
                there = [number for number in numbers if number not in {*begun, *back}]
                count = claims.take_back()
                back += there[len(there) - count :]
    finally:
        claims.close()
    assert sorted([*begun, *back]) == numbers
    assert begun == sorted(begun)
