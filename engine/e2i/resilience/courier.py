"""Waiting entries of the outbox go in; sinks have taken them, or they still wait, or they are set aside with a reason.

Each sink has a thread, a breaker and a lease of its own: one that is down or slow holds up no other.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from uuid import uuid4

from msgspec.structs import replace

from e2i.catalog.telemetry import ENDS, Entry, Sink
from e2i.errors import E2IError, ToolUnavailable
from e2i.resilience import retry
from e2i.resilience.guard import Guard
from e2i.resilience.outbox import Outbox, Tally, process_alive, process_identity

BATCH = 500
"""Entries taken at a time; fewer after a missed deadline, so that a slow sink still gets on."""
OPENING = 120.0
"""Seconds that opening a sink may take: it imports the tool, which no deadline for a call allows for."""
LONGEST_PAUSE = 5.0
"""Seconds between two tries while a sink cannot take anything; the breaker rejects most of them at once."""


def deliver(
    open_outbox: Callable[[], Outbox],
    open_sink: Callable[[str], Sink],
    guards: Sequence[Guard],
    stop: threading.Event,
    *,
    poll: float = 0.2,
    flush: float = 10.0,
) -> dict[str, Tally]:
    """Delivers to the sink of each guard until ``stop`` is set, then once more for at most ``flush`` seconds.

    With ``stop`` set from the start it is one bounded pass, what ``e2i sync`` does. ``open_outbox`` and ``open_sink``
    are called in the threads that use what they open. ``poll`` (seconds) is how often an empty queue is looked at.
    Never raises for a sink's sake; returns the tally of each.
    """
    tallies = {guard.tool: Tally(problem=f"{guard.tool} did not end in time") for guard in guards}

    def work(guard: Guard) -> None:
        with open_outbox() as outbox:
            tallies[guard.tool] = Courier(outbox, open_sink, guard).run(stop, poll=poll, flush=flush)

    threads = [threading.Thread(target=work, args=(guard,), name=f"e2i-{guard.tool}", daemon=True) for guard in guards]
    for thread in threads:
        thread.start()
    stop.wait()
    ends = time.monotonic() + flush + 2 * poll + 1.0
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    with open_outbox() as outbox:
        depth = outbox.depth()
    return {
        name: replace(tally, left=depth.get(name, 0), problem=tally.problem if name in depth or tally.altered else None)
        for name, tally in tallies.items()
    }


class Courier:
    """Delivers one sink's entries. The sink is opened when there is something for it, and again after a hung call."""

    def __init__(
        self,
        outbox: Outbox,
        open_sink: Callable[[str], Sink],
        guard: Guard,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._open_sink = open_sink
        self._guard = guard
        self._clock = clock
        self._holder = f"{process_identity()}#{uuid4().hex}"
        self._sink: Sink | None = None
        self._size = BATCH
        self._delivered = 0
        self._set_aside = 0
        self._redelivered = 0

    def run(self, stop: threading.Event, *, poll: float, flush: float) -> Tally:
        """Delivers until ``stop`` is set; then, for at most ``flush`` seconds, until nothing waits or it is down."""
        problem: str | None = None
        ends: float | None = None
        troubles = 0
        while True:
            if stop.is_set() and ends is None:
                ends = self._clock() + flush
            left = None if ends is None else ends - self._clock()
            if left is not None and left <= 0:
                problem = problem or f"the flush deadline of {flush:g} s has passed"
                break
            waiting, problem = self._pass(left)
            troubles = troubles + 1 if problem else 0
            if waiting and not problem:
                continue
            if ends is not None:
                break
            stop.wait(retry.pause(max(troubles, 1), initial=poll, maximum=LONGEST_PAUSE))
        self._close(0.0 if ends is None else max(0.0, ends - self._clock()))
        depth = self._outbox.depth().get(self._guard.tool, 0)
        if altered := self._outbox.altered:
            told = f"{altered} entries were altered on disk and are not delivered, see `e2i doctor`"
            problem = f"{told}; {problem}" if problem else told
        return Tally(self._delivered, self._set_aside + altered, depth, problem, self._redelivered, altered)

    def deliver_once(self, deadline: float | None = None) -> bool:
        """Delivers one batch; False when nothing waited. Raises ToolUnavailable; what was not delivered still waits.

        ``deadline`` (seconds) shortens that of each call to the sink.
        """
        seconds = self._guard.deadline if deadline is None else min(deadline, self._guard.deadline)
        batch = self._outbox.take(self._guard.tool, self._size)
        for _, entries in groupby(batch, key=lambda entry: entry.run):
            sink = self._open(OPENING if deadline is None else min(deadline, OPENING))
            self._deliver(sink, list(entries), seconds)
        return bool(batch)

    def _pass(self, deadline: float | None) -> tuple[bool, str | None]:
        """Whether there was something to deliver, and why it could not be."""
        name = self._guard.tool
        try:
            if name not in self._outbox.depth():
                return False, None
            if not self._outbox.lease(name, self._holder, process_alive):
                return True, f"another courier delivers to {name}"
            delivered = self.deliver_once(deadline)
            self._size = min(BATCH, 2 * self._size)
            return delivered, None
        except ToolUnavailable as error:
            if error.code == "deadline-missed":
                self._abandon_sink()
                self._size = max(1, self._size // 2)
            elif error.code == "history-lost":
                self._abandon_sink()
                self._redelivered += self._outbox.redeliver(name)
                return True, None  # a new sink can begin at once
            return True, error.message
        except sqlite3.DatabaseError as error:  # locked for long, damaged, or the disk is full
            return True, f"the outbox {self._outbox.path} cannot be used: {error}"

    def _deliver(self, sink: Sink, entries: list[Entry], deadline: float) -> None:
        """Delivers entries of one run; what the sink refuses is found by halving, so that only it is set aside."""
        try:
            self._guard.call(sink.deliver, entries, deadline=deadline)
        except ToolUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary to a tool's code: a defect there must not lose entries
            if len(entries) > 1:
                middle = len(entries) // 2
                self._deliver(sink, entries[:middle], deadline)
                self._deliver(sink, entries[middle:], deadline)
                return
            reason = error.message if isinstance(error, E2IError) else f"{type(error).__name__}: {error}"
            self._outbox.set_aside(entries, reason)
            self._set_aside += 1
        else:
            self._outbox.acknowledge(entries)
            self._delivered += len(entries)
            if any(entry.kind in ENDS for entry in entries):
                self._outbox.settle(self._guard.tool, entries[-1].run)

    def _open(self, deadline: float) -> Sink:
        """The open sink. A sink that cannot be opened, for whatever reason, is no fault of the entries: they wait."""
        if self._sink is None:
            name = self._guard.tool
            try:
                self._sink = self._guard.call(self._open_sink, name, deadline=deadline)
            except ToolUnavailable:
                raise
            except Exception as error:  # the boundary to a tool's code
                raise ToolUnavailable(
                    name, f"the sink of {name} cannot be opened: {type(error).__name__}: {error}", code="sink-closed"
                ) from error
        return self._sink

    def _abandon_sink(self) -> None:
        """The next delivery takes a new sink. The old one may still be busy with a call that hangs."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _close(self, seconds: float) -> None:
        """Closes the sink, within the deadline; everything it was given is acknowledged, so nothing depends on it."""
        if self._sink is not None:
            try:
                self._guard.call(self._sink.close, deadline=min(max(seconds, 1.0), self._guard.deadline))
            except ToolUnavailable:
                self._sink = None
        self._outbox.release(self._guard.tool, self._holder)
