"""Retry with pauses. In: a retry policy. Out: the pauses between attempts. Sleeping and randomness are parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar, assert_never

T = TypeVar("T")
Backoff = Literal["exponential", "linear", "constant"]


def pause(retry: int, *, initial: float = 1.0, maximum: float = 30.0, backoff: Backoff = "exponential") -> float:
    """Returns the seconds before retry number ``retry`` (1 is the first retry), never more than ``maximum``.

    Exponential: initial · 2^(retry − 1). Linear: initial · retry. Constant: initial.
    """
    match backoff:
        case "exponential":
            seconds = initial * 2.0 ** min(retry - 1, 512)  # for larger numbers a float would overflow
        case "linear":
            seconds = initial * retry
        case "constant":
            seconds = initial
        case _:
            assert_never(backoff)
    return min(seconds, maximum)


def pauses(
    attempts: int,
    *,
    initial: float = 1.0,
    maximum: float = 30.0,
    backoff: Backoff = "exponential",
    jitter: float = 0.0,
    random: Callable[[], float] | None = None,
) -> Iterator[float]:
    """Returns the ``attempts`` − 1 pauses (seconds) between ``attempts`` attempts.

    ``jitter`` is the random share of each pause, 0 to 1: ``random`` returns numbers in [0, 1), and a pause is between
    (1 − jitter) · exact and exact.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}")
    if not 0.0 <= jitter <= 1.0:
        raise ValueError(f"jitter must be between 0 and 1, not {jitter}")
    if jitter and random is None:
        raise ValueError("jitter needs a source of randomness: pass random=")
    for retry in range(1, attempts):
        exact = pause(retry, initial=initial, maximum=maximum, backoff=backoff)
        yield exact * (1.0 - jitter * random()) if random is not None else exact


def call(
    function: Callable[[], T],
    waits: Iterable[float],
    *,
    retry_on: Callable[[Exception], bool],
    sleep: Callable[[float], object],
) -> T:
    """Returns the result of ``function``, retried after each of ``waits`` (seconds) while ``retry_on`` allows.

    The last exception is raised unchanged.
    """
    for seconds in waits:
        try:
            return function()
        except Exception as error:  # retry_on decides which may be tried again; all others are raised unchanged
            if not retry_on(error):
                raise
        sleep(seconds)
    return function()
