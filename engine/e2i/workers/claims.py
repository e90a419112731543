"""Who has a call that a worker was given ahead. In: calls, in the order in which they were given. Out: whether the
worker may begin one, and how many it has not begun.

The engine puts a ticket for each into a pipe. Whoever takes it out first has the call: the worker carries it out, the
engine gives it to another.
"""

from __future__ import annotations

import os

SIZE = 8
"""Bytes of a ticket: its number, which no other of the same worker has."""
MOST = 512
"""Tickets that are taken out at once; far fewer are there."""


class Claims:
    """The engine's side: both ends of the pipe of one worker."""

    def __init__(self) -> None:
        self.taker, self._giver = os.pipe()
        """``taker``: the end that the worker inherits."""
        os.set_blocking(self.taker, False)
        self._number = 0

    def give(self) -> int:
        """Puts in the ticket of another call. Its number."""
        self._number += 1
        os.write(self._giver, self._number.to_bytes(SIZE))
        return self._number

    def take_back(self) -> int:
        """Takes out those that are there. How many: these are the calls that were given last."""
        try:
            return len(os.read(self.taker, SIZE * MOST)) // SIZE
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.taker)
        os.close(self._giver)


class Taker:
    """The worker's side."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._held = 0
        """A ticket that was taken out and is that of a later call: those before it were taken back."""

    def take(self, number: int) -> bool:
        """Whether the call of that ticket, the next that was given, is to be carried out here."""
        if not self._held:
            try:
                self._held = int.from_bytes(os.read(self._pipe, SIZE))
            except BlockingIOError:
                return False
        if self._held != number:
            return False
        self._held = 0
        return True
