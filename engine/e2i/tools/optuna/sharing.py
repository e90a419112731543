"""Share the trials of one search among processes and machines. In: a trial of the search. Out: its result, once.

Every process makes the same proposals, because they depend on the results alone. So only results are exchanged, through
the study in the storage, and a trial is claimed by a lock that ends with its process: a trial whose process was killed
is evaluated by another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

POLL_SECONDS = 0.1
NUMBER = "e2i.number"
"""Attribute of a trial: its number in the search. Trials are stored in the order in which they ended."""


class Sharing(Protocol):
    """Settles each trial of a search in exactly one process."""

    async def settle(self, number: int, evaluate: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """Return the finished trial of that number, and True when it was ended by ``evaluate``, here."""


class Together:
    """The trials of one search that several processes evaluate. Each process has one for each of its searches."""

    def __init__(
        self,
        claim: Callable[[int], Awaitable[bool]],
        release: Callable[[int], Awaitable[None]],
        finished: Callable[[], Awaitable[Sequence[Any]]],
        record: Callable[[Any], Awaitable[None]],
        slots: int,
    ) -> None:
        """``claim`` tries to take the lock of a trial, ``record`` stores a finished one while it is held.

        Up to ``slots`` trials are evaluated at once.
        """
        self._claim = claim
        self._release = release
        self._finished = finished
        self._record = record
        self._slots = asyncio.Semaphore(slots)
        self._reading = asyncio.Lock()
        self._read_at = -POLL_SECONDS
        self._known: dict[int, Any] = {}

    async def settle(self, number: int, evaluate: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """Evaluate the trial, or wait for the process that does. Raises what ``evaluate`` and the storage raise."""
        while True:
            async with self._slots:
                if await self._claim(number):
                    try:
                        await self._read()  # it may have ended before it was claimed
                        if number in self._known:
                            return self._known[number], False
                        trial = await evaluate()
                        await self._record(trial)
                        return trial, True
                    finally:
                        await self._release(number)
            await asyncio.sleep(POLL_SECONDS)
            await self._read(POLL_SECONDS)
            if number in self._known:
                return self._known[number], False

    async def _read(self, age: float = 0.0) -> None:
        """Read the finished trials of all processes, unless that was done less than ``age`` seconds ago."""
        async with self._reading:
            if time.monotonic() - self._read_at >= age:
                self._known = {trial.number: trial for trial in reversed(await self._finished())}
                self._read_at = time.monotonic()


def numbered(trials: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return each trial with its number in the search; one that was stored in order has none of its own."""
    return [(int(trial.user_attrs.get(NUMBER, place)), trial) for place, trial in enumerate(trials)]
