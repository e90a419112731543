"""Count events from any thread without a lock."""

from __future__ import annotations

import itertools


class Tally:
    """A count that threads add to and one of them takes from. ``next`` of an ``itertools.count`` is one step."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._gone = 0
        """Numbers that were drawn and do not count, or do not count any more."""

    def add(self) -> None:
        next(self._numbers)

    def waiting(self) -> int:
        """Returns the count. One thread at a time may call this or ``take``."""
        self._gone += 1  # the number drawn here
        return next(self._numbers) - self._gone

    def take(self, count: int) -> None:
        """Takes so many away."""
        self._gone += count
