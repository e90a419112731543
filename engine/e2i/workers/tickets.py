"""Who carries out a call that a worker was given ahead: the engine puts a ticket into a pipe; whoever takes it out first,
the worker to begin or the engine to give the call to another, has the call.

In: the numbers of calls, in the order in which they were given. Out: how many came back; whether one may begin.
"""

from __future__ import annotations

import os

NUMBERS = 256
"""Numbers of tickets, after which they begin anew. Far fewer are out at once."""


class Tickets:
    """The engine's side: both ends of the pipe of one worker."""

    def __init__(self) -> None:
        self.taker, self._giver = os.pipe()
        """``taker``: the end that the worker inherits."""
        os.set_blocking(self.taker, False)
        self._number = 0

    def give(self) -> int:
        """Puts in the ticket of another call. Its number."""
        self._number = (self._number + 1) % NUMBERS
        os.write(self._giver, bytes((self._number,)))
        return self._number

    def take_back(self) -> int:
        """Takes out those that are there. How many: these are the calls that were given last."""
        try:
            return len(os.read(self.taker, NUMBERS))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.taker)
        os.close(self._giver)


class Taker:
    """The worker's side."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._held = -1
        """A ticket that was taken out and is that of a later call: those before it were taken back."""

    def take(self, number: int) -> bool:
        """Whether the call of that ticket, the next that was given, is to be carried out here."""
        if self._held < 0:
            try:
                self._held = os.read(self._pipe, 1)[0]
            except BlockingIOError:
                return False
        if self._held != number:
            return False
        self._held = -1
        return True
