from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.resilience import retry


def test_exponential_pauses_double_up_to_the_maximum() -> None:
    assert list(retry.pauses(7, initial=1, maximum=10)) == [1, 2, 4, 8, 10, 10]


def test_linear_and_constant_pauses_are_exact() -> None:
    assert list(retry.pauses(4, initial=2, backoff="linear")) == [2, 4, 6]
    assert list(retry.pauses(4, initial=2, backoff="constant")) == [2, 2, 2]


def test_one_attempt_has_no_pause() -> None:
    assert list(retry.pauses(1)) == []


def test_jitter_takes_its_share_off_each_pause() -> None:
    chances = iter([0.0, 0.5, 0.999])
    assert list(retry.pauses(4, initial=1, jitter=0.5, random=lambda: next(chances))) == pytest.approx([1, 1.5, 2.002])


@given(
    attempts=st.integers(1, 3000),
    initial=st.floats(0.001, 100),
    maximum=st.floats(0.001, 1000),
    backoff=st.sampled_from(["exponential", "linear", "constant"]),
)
def test_pauses_never_shrink_nor_pass_the_maximum(
    attempts: int, initial: float, maximum: float, backoff: retry.Backoff
) -> None:
    waits = list(retry.pauses(attempts, initial=initial, maximum=maximum, backoff=backoff))
    assert len(waits) == attempts - 1
    assert waits == sorted(waits)
    assert all(0 < wait <= maximum for wait in waits)


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"attempts": 2, "jitter": 1.5}, {"attempts": 2, "jitter": 0.5}], ids=str
)
def test_a_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        list(retry.pauses(**wrong))  # type: ignore[arg-type]


def test_a_call_is_retried_while_it_may_be_and_sleeps_in_between() -> None:
    tries, slept = count(1), list[float]()

    def function() -> int:
        number = next(tries)
        if number < 3:
            raise ConnectionError
        return number

    is_outage = lambda error: isinstance(error, ConnectionError)  # noqa: E731
    assert retry.call(function, [1.0, 2.0, 4.0], retry_on=is_outage, sleep=slept.append) == 3
    assert slept == [1.0, 2.0]


def test_the_last_error_and_any_other_error_pass_unchanged() -> None:
    slept: list[float] = []
    final = ConnectionError("still down")

    def down() -> None:
        raise final

    with pytest.raises(ConnectionError) as caught:
        retry.call(down, [1.0, 2.0], retry_on=lambda error: True, sleep=slept.append)
    assert caught.value is final
    assert slept == [1.0, 2.0]
    with pytest.raises(ConnectionError):
        retry.call(down, [1.0], retry_on=lambda error: False, sleep=slept.append)
    assert slept == [1.0, 2.0]
