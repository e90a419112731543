"""A retry policy goes in; the pauses between attempts come out. Sleeping and chance are handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar, assert_never

T = TypeVar("T")
Backoff = Literal["exponential", "linear", "constant"]


def pause(retry: int, *, initial: float = 1.0, maximum: float = 30.0, backoff: Backoff = "exponential") -> float:
    """Seconds to wait before retry number ``retry`` (1 is the first retry), never more than ``maximum``.

    Exponential: initial · 2^(retry − 1). Linear: initial · retry. Constant: initial.
    """
    match backoff:
        case "exponential":
            seconds = initial * 2.0 ** min(retry - 1, 512)  # beyond, a float would overflow
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
    """The ``attempts`` − 1 pauses (seconds) between ``attempts`` attempts.

    ``jitter`` is the share of each pause that is left to chance, 0 to 1: ``random`` gives numbers in [0, 1), and a
    pause lies between (1 − jitter) · exact and exact.
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
    """What ``function`` returns, tried once and once more after each of ``waits`` (seconds) while ``retry_on`` says so.

    The last exception is raised unchanged.
    """
    for seconds in waits:
        try:
            return function()
        except Exception as error:  # retry_on names what may be tried again; all else leaves unchanged
            if not retry_on(error):
                raise
        sleep(seconds)
    return function()
