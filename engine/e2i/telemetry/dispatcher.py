"""Deliver entries of the outbox. In: waiting entries. Out: delivered, still waiting, or dead-lettered with a reason.

Each sink has its own thread, breaker and lease, so a sink that is down or slow delays no other. At the end of a run,
the dispatcher does not wait for a tracker that is known to be down, and checks unknown ones first.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import E2IError, ToolUnavailable
from e2i.resilience import asking, connections, retry
from e2i.resilience.deadlines import InterpreterEnds, MissedDeadlineError, in_time
from e2i.resilience.guard import Guard
from e2i.resilience.processes import process_alive, process_identity
from e2i.telemetry.attempts import witness
from e2i.telemetry.bodies import ENDS
from e2i.telemetry.entries import Entry, Naming, Sink, keyed
from e2i.telemetry.outbox import Outbox, Tally

BATCH = 500
"""Number of entries in one batch; fewer after a missed deadline, so that a slow sink still progresses."""
OPENING = 120.0
"""Timeout of opening a sink, in seconds. It imports the tool, which the deadline of a call does not cover."""
PARTING = 2.0
"""Timeout of a server's reachability check at the end of a run, in seconds."""
SHORT = 0.05
"""Seconds within which a delivery without entries ends."""
LONGEST_PAUSE = 5.0
"""Seconds between two tries while a sink accepts nothing; the breaker rejects most of them at once."""


class Tracker(Struct, frozen=True):
    """Target of a sink: an embedded tracker, unless it has an address."""

    target: str = ""
    """Name of the target in its entries."""
    address: tuple[str, int] | None = None
    """Host and port of a server."""
    check: Callable[[], None] | None = None
    """Checks that the server is reachable, at little cost. Raises ToolUnavailable."""


EMBEDDED = Tracker()


def deliver(
    open_outbox: Callable[[], Outbox],
    open_sink: Callable[[str], Sink],
    guards: Sequence[Guard],
    stop: threading.Event,
    *,
    poll: float = 0.2,
    flush: float = 10.0,
    trackers: Mapping[str, Tracker] | None = None,
) -> dict[str, Tally]:
    """Delivers to the sink of each guard until ``stop`` is set, then once more for at most ``flush`` seconds.

    With ``stop`` set from the start it is one limited pass, as in ``e2i sync``. ``open_outbox`` and ``open_sink`` are
    called in the threads that use their results. ``poll`` (seconds) is the interval for checking an empty queue.
    ``trackers`` maps a tool to the server that its sink delivers to. Never raises because of a sink; returns the tally
    of each.
    """
    lanes = [_Lane(guard, (trackers or {}).get(guard.tool, EMBEDDED)) for guard in guards]

    def work(lane: _Lane) -> None:
        with open_outbox() as outbox:
            lane.dispatcher = Dispatcher(outbox, open_sink, lane.guard, lane.tracker)
            lane.tally = lane.dispatcher.run(stop, poll=poll, flush=flush)

    threads = [threading.Thread(target=work, args=(lane,), name=f"e2i-{lane.name}", daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    stop.wait()
    ends = time.monotonic() + flush + 2 * poll + 1.0
    doubts = [
        threading.Thread(target=lane.watch, args=(thread, ends), daemon=True)
        for lane, thread in zip(lanes, threads, strict=True)
    ]
    for doubt in doubts:
        doubt.start()
    for doubt in doubts:
        doubt.join()
    with open_outbox() as outbox:
        return {lane.name: lane.outcome(outbox) for lane in lanes}


class _Lane:
    """The delivery to one sink: its dispatcher, and its state while its thread runs."""

    def __init__(self, guard: Guard, tracker: Tracker) -> None:
        self.guard = guard
        self.tracker = tracker
        self.name = guard.tool
        self.dispatcher: Dispatcher | None = None
        self.tally: Tally | None = None
        self._problem = f"{guard.tool} did not end in time"

    def watch(self, thread: threading.Thread, ends: float) -> None:
        """Waits for the thread until ``ends``, but not while the tracker is down."""
        thread.join(SHORT)
        if thread.is_alive() and (problem := self._is_down()):
            self._problem = problem
            if self.dispatcher is not None:
                self.dispatcher.leave()
            return
        thread.join(max(0.0, ends - time.monotonic()))

    def outcome(self, outbox: Outbox) -> Tally:
        """Returns the tally, with the number of waiting entries."""
        left, elsewhere = outbox.waiting(self.name, self.tracker.target)
        tally = self.tally or (self.dispatcher.tally() if self.dispatcher else Tally())
        problem = (tally.problem if self.tally else self._problem) if left or tally.altered else None
        return replace(tally, left=left, elsewhere=elsewhere, problem=problem)

    def _is_down(self) -> str | None:
        """Returns the problem of the tracker, if it is known or can be checked."""
        if self.dispatcher is not None and self.dispatcher.down:
            return self.dispatcher.down
        try:
            check(self.tracker, self.name, PARTING)
        except ToolUnavailable as error:
            return self.guard.mask(error.message)
        return None


def check(tracker: Tracker, name: str, seconds: float) -> None:
    """Checks that a server is reachable. Raises ToolUnavailable when it is not, or takes longer than ``seconds``."""
    if tracker.check is None:
        return
    try:
        in_time(tracker.check, seconds)
    except MissedDeadlineError as error:
        raise ToolUnavailable(
            name,
            f"{name} did not answer within {seconds:.3g} s",
            code="silent",
            hint=f"check that {name} is up; waiting entries are delivered later",
        ) from error


class Dispatcher:
    """Delivers one sink's entries. The sink is opened when there are entries for it, and again after a hung call.

    A tracker may repeat the credentials of a request in its answer: the guard masks every reason that is kept.
    """

    def __init__(
        self,
        outbox: Outbox,
        open_sink: Callable[[str], Sink],
        guard: Guard,
        tracker: Tracker = EMBEDDED,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._open_sink = open_sink
        self._guard = replace(guard, cuts_short=True)
        self._tracker = tracker
        self._lane = keyed(guard.tool, tracker.target)
        self.down: str | None = None
        """Why the server is known to be down; None while it is up."""
        self._not_before = 0.0
        """Time before which the server must not be called again, by the clock."""
        self._clock = clock
        self._left = threading.Event()
        self._holder = f"{process_identity()}#{uuid4().hex}"
        self._sink: Sink | None = None
        self._attempts = outbox.attempts(self._lane)
        self._is_holder = False
        self._size = BATCH
        self._is_slow = False
        """Whether a server that answered its check did not take the last batch in time."""
        self._most = BATCH
        """Size to which batches grow again."""
        self._sent = BATCH
        """Number of entries in the latest call of the sink."""
        self._delivered = 0
        self._dead_lettered = 0
        self._redelivered = 0
        self._orphans: set[str] = set()
        """Runs that the tracker did not know, and for which it was given everything again."""

    def run(self, stop: threading.Event, *, poll: float, flush: float) -> Tally:
        """Delivers until ``stop`` is set; then at most ``flush`` seconds, until nothing waits or the sink is down. A
        server that is only slow gets smaller batches until then.
        """
        problem: str | None = None
        ends: float | None = None
        troubles = 0
        while True:
            if stop.is_set() and ends is None:
                ends = self._clock() + flush
                if self.down:
                    break  # do not wait for a tracker that is down
            if ends is not None and (wish := self._not_before - self._clock()) > 0:
                if wish >= ends - self._clock():
                    break
                self._left.wait(wish)
            if self._left.is_set():
                break
            left = None if ends is None else ends - self._clock()
            if left is not None and left <= 0:
                problem = problem or f"the flush deadline of {flush:.3g} s has passed"
                break
            waiting, problem = self.attempt(left)
            troubles = troubles + 1 if problem else 0
            if waiting and not problem:
                continue
            if ends is None:
                pause = retry.pause(max(troubles, 1), initial=poll, maximum=LONGEST_PAUSE)
                stop.wait(max(pause, self._not_before - self._clock()))
            elif self._not_before <= self._clock() and not self._is_slow:
                break
        self._close(0.0 if ends is None else max(0.0, ends - self._clock()))
        left, elsewhere = self._outbox.waiting(self._guard.tool, self._tracker.target)
        return replace(self.tally(problem), left=left, elsewhere=elsewhere)

    def close(self) -> None:
        """Closes the sink and lets other processes deliver."""
        self._close(0.0)

    def release(self) -> None:
        """Lets other processes deliver until the next attempt."""
        self._outbox.release(self._lane, self._holder)

    def leave(self) -> None:
        """Abandons the thread: it ends after its current call, if any, and releases its lease."""
        self._left.set()

    def tally(self, problem: str | None = None) -> Tally:
        """Returns the counts so far. The number of waiting entries comes from the outbox, in its own thread."""
        if altered := self._outbox.altered:
            outcome = f"{altered} entries were altered on disk and are not delivered, see `e2i doctor`"
            problem = f"{outcome}; {problem}" if problem else outcome
        return Tally(
            delivered=self._delivered,
            dead_lettered=self._dead_lettered + altered,
            problem=problem,
            redelivered=self._redelivered,
            altered=altered,
        )

    def deliver_once(self, deadline: float | None = None) -> bool:
        """Delivers one batch; False when nothing waited. Raises ToolUnavailable; undelivered entries still wait.

        ``deadline`` (seconds) shortens that of each call to the sink.
        """
        for poison in self._attempts.poison():
            self._dead_lettered += self._outbox.dead_letter_poison(poison)
        if doubtful := self._attempts.in_doubt():
            return self._call_witness(doubtful, deadline)
        batch = self._take(self._size)
        if batch and self._attempts.one_by_one(batch[0].sequence):
            batch = batch[:1]
        for _, entries in groupby(batch, key=lambda entry: entry.run):
            self._send(list(entries), deadline)
        return bool(batch)

    def _call_witness(self, doubtful: set[int], deadline: float | None) -> bool:
        """Sends an entry that can show whether the tracker answers while others hang; then these have a strike."""
        if (found := witness(self._take(BATCH), doubtful)) is None:
            self._attempts.acquit()
        else:
            self._send([found], deadline)
            self._attempts.confirm()
        return True

    def _take(self, limit: int) -> list[Entry]:
        return self._outbox.take(self._guard.tool, limit, target=self._tracker.target)

    def _send(self, entries: list[Entry], deadline: float | None) -> None:
        self._deliver(self._open(OPENING if deadline is None else min(deadline, OPENING)), entries, deadline)

    def attempt(self, deadline: float | None = None) -> tuple[bool, str | None]:
        """Delivers one batch if it can. Returns whether there was one, and why it was not delivered."""
        name = self._guard.tool
        self._is_slow = False
        try:
            if not self._outbox.waiting(name, self._tracker.target)[0]:
                return False, None
            if not self._outbox.lease(self._lane, self._holder, process_alive):
                self._is_holder = False
                return True, f"another dispatcher delivers to {name}"
            if not self._is_holder:
                self._is_holder = True
                self._attempts.recover()
            delivered = self.deliver_once(deadline)
            self._size = min(self._most, 2 * self._size)
            return delivered, None
        except ToolUnavailable as error:
            if error.code == "deadline-missed":
                self._is_slow = self._tracker.check is not None  # it is checked again before the next batch
                self._abandon_sink(hung=True)
                self._size = max(1, min(self._size, self._sent) // 2)
                if deadline is not None:
                    self._most = self._size  # no time is left to find out whether more fits again
            elif error.code == "history-lost":
                self._abandon_sink(hung=False)
                self._redeliver()
                return True, None  # a new sink can start at once
            elif self._tracker.address is not None:
                self._abandon_sink(hung=False)  # the server is checked again before anything more is sent to it
            if error.retry_after:
                self._not_before = self._clock() + error.retry_after
            return True, self._guard.mask(_told(error))
        except sqlite3.DatabaseError as error:  # locked for long, corrupt, or the disk is full
            return True, f"the outbox {self._outbox.path} cannot be used: {error}"

    def _deliver(self, sink: Sink, entries: list[Entry], deadline: float | None) -> None:
        """Delivers entries of one run. Refused entries are found by halving, so that only these are dead-lettered."""
        seconds = self._guard.deadline if deadline is None else min(deadline, self._guard.deadline)
        sent = (entries[0].sequence, entries[-1].sequence)
        self._sent = len(entries)
        self._attempts.begin(*sent)
        try:
            self._guard.call(sink.deliver, entries, deadline=seconds)
        except ToolUnavailable as error:
            hung = error.code == "deadline-missed" and seconds >= self._guard.deadline
            self._attempts.failed(*sent, hung=hung)
            raise
        except InterpreterEnds as error:
            raise ToolUnavailable(self._guard.tool, error.message, code=error.code) from error
        except Exception as error:  # the boundary to a tool's code: a defect there must not lose entries
            self._attempts.answered(*sent)
            is_orphaned = isinstance(error, E2IError) and error.code == "run-unknown"
            if is_orphaned and self._may_be_lost(entries[0].run) and self._redeliver():
                raise ToolUnavailable(self._guard.tool, str(error), code="history-lost") from error
            if len(entries) > 1 and not is_orphaned:
                middle = len(entries) // 2
                self._deliver(sink, entries[:middle], deadline)
                self._deliver(sink, entries[middle:], deadline)
                return
            reason = error.message if isinstance(error, E2IError) else f"{type(error).__name__}: {error}"
            self._outbox.dead_letter(entries, self._guard.mask(reason))
            self._dead_lettered += len(entries)
        else:
            self._outbox.acknowledge(entries)
            self._attempts.answered(*sent)
            self._delivered += len(entries)
            if any(entry.kind == "program.started" for entry in entries) and isinstance(sink, Naming):
                self._name(sink, entries[0].run)
            if any(entry.kind in ENDS for entry in entries):
                self._outbox.settle(self._guard.tool, entries[-1].run, target=self._tracker.target)

    def _may_be_lost(self, run: str) -> bool:
        """Returns whether the tracker may have lost a run that it does not know: it has accepted its start, and has not
        received everything again for this run before.
        """
        if run in self._orphans or self._outbox.is_start_refused(self._guard.tool, run):
            return False
        self._orphans.add(run)
        return True

    def _name(self, sink: Naming, run: str) -> None:
        """Keeps the tracker's id of a run that a program began."""
        if (remote := sink.id_of(run)) is not None:
            self._outbox.name(self._guard.tool, self._tracker.target, run, remote)

    def _redeliver(self) -> int:
        """Queues again what the tracker accepted and has lost. Returns how many."""
        again = self._outbox.redeliver(self._guard.tool, target=self._tracker.target)
        self._redelivered += again
        return again

    def _open(self, deadline: float) -> Sink:
        """Returns the open sink. When it cannot be opened, for whatever reason, the entries wait."""
        if self._sink is None:
            name = self._guard.tool
            try:
                self._sink = self._guard.call(self._checked, deadline, deadline=deadline)
            except ToolUnavailable:
                raise
            except Exception as error:  # the boundary to a tool's code
                raise ToolUnavailable(
                    name, f"the sink of {name} cannot be opened: {type(error).__name__}: {error}", code="sink-closed"
                ) from error
        return self._sink

    def _checked(self, deadline: float) -> Sink:
        """Returns a new sink, if its server is reachable: importing its client takes longer than the check."""
        try:
            check(self._tracker, self._guard.tool, min(deadline, asking.WITHIN))
        except ToolUnavailable as error:
            if error.code == "silent" and deadline < asking.WITHIN:
                raise MissedDeadlineError from error  # cut short by the end of the flush
            self.down = None if error.retry_after else self._guard.mask(error.message)
            raise
        self.down = None
        return self._open_sink(self._guard.tool)

    def _abandon_sink(self, *, hung: bool) -> None:
        """Replaces the sink for the next delivery. A hung call of the old one ends now.

        Other connections to the tracker end with it, such as one that checks whether it answers. So nothing is cut
        after a call that has ended.
        """
        if hung and self._tracker.address is not None:
            connections.cut(self._tracker.address)
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _close(self, seconds: float) -> None:
        """Closes the sink, within the deadline. All its entries are acknowledged, so nothing depends on it."""
        if self._sink is not None:
            try:
                self._guard.call(self._sink.close, deadline=min(max(seconds, 1.0), self._guard.deadline))
            except ToolUnavailable:
                self._sink = None
        self._outbox.release(self._lane, self._holder)


def _told(error: ToolUnavailable) -> str:
    """Returns why nothing is delivered; of a tool that is not installed also what installs it."""
    return f"{error.message}; {error.hint}" if error.code == "tool-missing" and error.hint else error.message
