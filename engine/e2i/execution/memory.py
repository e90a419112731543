"""Share the memory of a machine among the steps of all runs of a store.

In: what steps declare, and the operator's total. Out: whether a step may start now. A step takes all of its memory
before it starts and waits for nothing while it has it, so steps cannot wait for each other in a circle.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from e2i.store.queue import Queue, Reservation, Waiting, holds_upstream

MEMORY = "memory"


class MemoryShare:
    """The memory that the steps of one run hold and wait for. Amounts are in bytes. Raises StoreError."""

    def __init__(self, store: Path, total: int | None, run: str) -> None:
        self._queue = Queue(store, MEMORY)
        self._total = total
        self._run = run
        self._reservations: dict[str, Reservation] = {}
        self._is_inside: bool | None = None

    def take(self, step: str, amount: int | None) -> Waiting | None:
        """Returns None when the step may start, with its memory held until ``give_back``; else what it waits for.

        Steps that declare no memory, and runs that a step of another run has started, wait for nothing.
        """
        if amount is None:
            return None
        if self._is_inside is None:
            self._is_inside = holds_upstream(self._queue)
        if self._is_inside:
            return None
        reservation = self._reservations.get(step)
        if reservation is None:
            reservation = self._reservations[step] = self._queue.enter(amount, self._run)
        return None if reservation.place.held else reservation.advance(self._total)

    def give_back(self, step: str) -> None:
        """Gives back what the step holds or waits for, if anything."""
        if (reservation := self._reservations.pop(step, None)) is not None:
            with contextlib.suppress(OSError):  # the end of this process gives it back too
                reservation.leave()

    def give_all_back(self) -> None:
        """Gives back what all steps of this run hold or wait for."""
        for step in list(self._reservations):
            self.give_back(step)
