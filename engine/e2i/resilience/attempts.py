"""Attempt an idempotent call several times within its deadline. In: the call. Out: its result, or its last exception.

Clocks and randomness are parameters.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from msgspec import Struct

from e2i.resilience.retry import pauses

T = TypeVar("T")


class Retries(Struct, frozen=True):
    """How often and how fast an idempotent call is tried again. Durations are seconds."""

    attempts: int = 4
    """Maximum number of attempts, the first one included."""
    initial: float = 0.1
    """Pause before the first retry; each further pause is twice as long."""
    maximum: float = 2.0
    jitter: float = 0.5
    """Random share of each pause, so that many processes do not retry at the same time."""


class Attempts:
    """The attempts of one call, all within one deadline. Used in a ``with`` statement, after which no retry begins."""

    def __init__(
        self,
        policy: Retries,
        seconds: float,
        pause_for: Callable[[Exception], float | None],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """``seconds`` is the deadline of the whole call. ``pause_for`` returns the least pause after an error, in
        seconds; None: no retry.
        """
        self._waits = pauses(
            policy.attempts, initial=policy.initial, maximum=policy.maximum, jitter=policy.jitter, random=random
        )
        self._pause_for = pause_for
        self._clock = clock
        self._ends = clock() + seconds
        self._over = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def run(self, work: Callable[[], T]) -> T:
        """Returns the result of the first attempt that succeeds. The last exception is raised unchanged."""
        while True:
            try:
                return work()
            except Exception as error:  # pause_for decides which may be tried again; all others are raised unchanged
                pause = self._pause(error)
                if pause is None or self._over.wait(pause):
                    raise

    async def arun(self, work: Callable[[], Awaitable[T]]) -> T:
        """As ``run``, for a coroutine function."""
        while True:
            try:
                return await work()
            except Exception as error:  # as above
                pause = self._pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    def _pause(self, error: Exception) -> float | None:
        """Returns the seconds until the next attempt; None when there is none, or the deadline would pass first."""
        least = self._pause_for(error)
        planned = next(self._waits, None)
        if least is None or planned is None or self._over.is_set():
            return None
        pause = max(least, planned)
        return pause if pause < self._ends - self._clock() else None
