"""Assign prefetched calls by claims.

In: calls in the order in which a worker received them. Out: whether the worker may begin one, and how many it has not
begun.

The engine writes a claim for each call into a pipe. The process that reads a claim first owns the call: the worker
executes it, or the engine passes it to another worker.
"""

from __future__ import annotations

import os

SIZE = 8
"""Size of a claim in bytes: its number, which is unique per worker."""
MOST = 512
"""Number of claims that one read can take; far fewer are present."""


class Claims:
    """The engine's side: both ends of the pipe of one worker."""

    def __init__(self) -> None:
        self.taker, self._giver = os.pipe()
        """``taker``: the end that the worker inherits."""
        os.set_blocking(self.taker, False)
        self._number = 0

    def give(self) -> int:
        """Write the claim of another call; return its number."""
        self._number += 1
        os.write(self._giver, self._number.to_bytes(SIZE))
        return self._number

    def take_back(self) -> int:
        """Take back the unread claims. Returns their number: they belong to the calls sent last."""
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
        """A claim that was read and belongs to a later call: the calls before it were taken back."""

    def take(self, number: int) -> bool:
        """Return True when this worker is to execute the call of that claim, the next one it received."""
        if not self._held:
            try:
                self._held = int.from_bytes(os.read(self._pipe, SIZE))
            except BlockingIOError:
                return False
        if self._held != number:
            return False
        self._held = 0
        return True
