"""``Outgoing``: a program's telemetry on its way to the trackers.

In: entries. Out: durable in the store's outbox at once, and delivered in the background by a thread for each tracker.
A program that is killed, or ends while a tracker is down, loses nothing: the next program, run or ``e2i sync``
delivers the rest.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from e2i.catalog.action import ToolSettings
from e2i.catalog.registry import TOOLS
from e2i.execution.delivery import sink_opener, tracker_of
from e2i.mlops import loading
from e2i.resilience import retry
from e2i.resilience.guard import Guard
from e2i.resilience.processes import process_alive
from e2i.settings import Settings
from e2i.spec import sizes
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE, WAIT
from e2i.telemetry.dispatcher import Dispatcher, Tracker, check
from e2i.telemetry.entries import Entry, Sink
from e2i.telemetry.outbox import Outbox
from e2i.telemetry.quota import Quota, admitted
from e2i.workers.withheld import Withheld

T = TypeVar("T")
Work = queue.SimpleQueue[tuple[Callable[[Outbox], object], Future[object]]]
POLL = 0.5
"""Seconds between two looks at the outbox while nothing is put."""
LONGEST_PAUSE = 5.0
"""Seconds between two tries while a tracker accepts nothing."""
PARTING_ALL = 5.0
"""Seconds that the end of a program waits for the delivery of its last entries."""
PARTING = 1.0
"""Timeout in seconds of the reachability check before a flush waits."""


def _stop(outbox: Outbox) -> None:
    """Stand for the end of the thread of the outbox."""


class Outgoing:
    """The outgoing telemetry of one process. Thread-safe; a fork starts with threads of its own."""

    def __init__(self, store: Path, artifacts: ArtifactStore, settings: Settings) -> None:
        self._path = store / FILE
        self._artifacts = artifacts
        self._settings = settings
        self._withheld = Withheld(settings, TOOLS)
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._work: Work = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._lock = threading.Lock()
        self._quota: Quota | None = None

    def put(self, entries: Sequence[Entry]) -> None:
        """Add entries; durable when it returns (milliseconds). Raises ValueError for a body that is not JSON."""
        self._ask(partial(self._put, entries)).result()

    async def aput(self, entries: Sequence[Entry]) -> None:
        """Do the same as ``put`` without blocking the event loop."""
        await asyncio.wrap_future(self._ask(partial(self._put, entries)))

    def _put(self, entries: Sequence[Entry], outbox: Outbox) -> None:
        """Add entries in the thread of the outbox, masked; metrics are thinned while it is full."""
        if self._quota is None:
            self._quota = Quota(sizes.parse(self._settings.outbox_limit), outbox.size)
        before = self._quota.thinned
        outbox.put(admitted(self._masked(entries), self._quota, outbox.thin))
        if before == 0 < self._quota.thinned:
            limit = self._settings.outbox_limit
            print(f"e2i: the outbox has reached its limit of {limit}: metrics are thinned", file=sys.stderr)

    def _masked(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries without the credentials of the tools that this environment has."""
        masker = self._withheld.masker()
        return [replace(entry, body=masker.data(entry.body)) for entry in entries] if masker else entries

    def withhold(self, settings: Settings) -> None:
        """Mask the credentials of these settings too from now on."""
        self._withheld.add(settings)

    def ask(self, question: Callable[[Outbox], T]) -> T:
        """Return the answer of the outbox to a quick question."""
        return self._ask(question).result()

    def deliver(self, tool: str, config: ToolSettings, guard: Guard) -> None:
        """Start the delivery to a tracker, unless it runs, and have it look at the outbox now."""
        self._lane(tool, config, guard).wake()

    def flush(self, tool: str, config: ToolSettings, guard: Guard, seconds: float, run: str | None = None) -> bool:
        """Return True when nothing waits for the tracker, or nothing of ``run``; False after ``seconds``.

        Returns early when the tracker is known to be down.
        """
        return self._lane(tool, config, guard).flush(seconds, run)

    async def aflush(
        self, tool: str, config: ToolSettings, guard: Guard, seconds: float, run: str | None = None
    ) -> bool:
        """Do the same as ``flush`` without blocking the event loop."""
        return await asyncio.to_thread(self.flush, tool, config, guard, seconds, run)

    def _ask(self, question: Callable[[Outbox], T]) -> Future[T]:
        answer: Future[T] = Future()
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, args=(self._work,), name="e2i-outbox", daemon=True)
                self._writer.start()
            self._work.put((question, answer))  # type: ignore[arg-type]  # the future fits its question
        return answer

    def _write(self, work: Work) -> None:
        """Answer questions one by one: the outbox belongs to this thread."""
        outbox: Outbox | None = None
        while True:
            question, answer = work.get()
            if question is _stop:
                if outbox is not None:
                    outbox.close()
                return
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                if outbox is None:
                    outbox = Outbox(self._path, wait=WAIT)
                    outbox.end_dead_programs(process_alive, int(time.time() * 1000))
                answer.set_result(question(outbox))
            except Exception as error:  # noqa: BLE001 - carried over to the thread that waits, which raises it
                answer.set_exception(error)

    def _lane(self, tool: str, config: ToolSettings, guard: Guard) -> _Lane:
        tracker = tracker_of(config, tool)
        with self._lock:
            lane = self._lanes.get((tool, tracker.target))
            if lane is None:
                if not self._lanes:
                    atexit.register(self._part)
                tools = {**self._settings.tools, tool: config.model_dump(exclude_unset=True)}
                settings = self._settings.model_copy(update={"tools": tools})
                lane = _Lane(self._path, _loading(sink_opener(self._artifacts, settings), config), tracker, guard)
                self._lanes[tool, tracker.target] = lane
            return lane

    def close(self) -> None:
        """End the threads; close files and connections. What waits is delivered later, later calls open them again."""
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
            writer, self._writer = self._writer, None
            work, self._work = self._work, queue.SimpleQueue()
        for lane in lanes:
            lane.close()
        if writer is not None:
            work.put((_stop, Future()))
            writer.join(WAIT)

    def _part(self) -> None:
        """Deliver the rest at the end of the program, for a moment and not to a tracker that is down. Say that
        deliveries in progress were not ended by their entries.
        """
        ends = time.monotonic() + PARTING_ALL
        for lane in self._lanes.values():
            with suppress(sqlite3.Error, RuntimeError):  # no thread can be started any more
                lane.flush(max(0.0, ends - time.monotonic()), None)
        if self._path.exists():
            with suppress(sqlite3.Error), Outbox(self._path, wait=0) as outbox:
                outbox.forgive()


def _loading(open_sink: Callable[[str], Sink], config: ToolSettings) -> Callable[[str], Sink]:
    """Return the function; the tracker's library is imported before, where the sink needs it."""

    def opened(tool: str) -> Sink:
        if tool == "mlflow":  # Opik's sink speaks HTTP itself
            loading.library(tool, config)
        return open_sink(tool)

    return opened


class _Lane:
    """The delivery to one tracker in a daemon thread."""

    def __init__(self, path: Path, open_sink: Callable[[str], object], tracker: Tracker, guard: Guard) -> None:
        self._path = path
        self._open_sink = open_sink
        self._tracker = tracker
        self._guard = guard
        self._awake = threading.Event()
        self._urgent = threading.Event()
        self._looked = threading.Condition()
        self._looks = 0
        self._problem: str | None = None
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._over = False

    def wake(self) -> None:
        """Have the thread look at the outbox now."""
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"e2i-{self._guard.tool}", daemon=True)
                self._thread.start()
        self._awake.set()

    def close(self) -> None:
        """End the thread after its current call, if any."""
        self._over = True
        self._urgent.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(WAIT)

    def flush(self, seconds: float, run: str | None) -> bool:
        ends = time.monotonic() + seconds
        with Outbox(self._path, wait=WAIT) as outbox:
            while self._waits(outbox, run):
                left = ends - time.monotonic()
                if left <= 0 or (self._problem and self._is_down(min(left, PARTING))):
                    return False
                with self._looked:
                    looks = self._looks
                    self._urgent.set()
                    self.wake()
                    self._looked.wait_for(partial(self._has_looked_since, looks), timeout=min(left, POLL))
        return True

    def _has_looked_since(self, looks: int) -> bool:
        return self._looks > looks

    def _waits(self, outbox: Outbox, run: str | None) -> bool:
        if run is None:
            return outbox.waiting(self._guard.tool, self._tracker.target)[0] > 0
        return outbox.waiting_of_run(self._guard.tool, run) > 0

    def _is_down(self, seconds: float) -> bool:
        """Return True when the delivery has a problem and the server does not answer now either."""
        from e2i.errors import ToolUnavailable

        if self._guard.breaker.state.value == "open":
            return True
        try:
            check(self._tracker, self._guard.tool, seconds)
        except ToolUnavailable:
            return True
        return self._tracker.address is None

    def _run(self) -> None:
        """Deliver until the process ends. A sink's failure, or the outbox's, is tried again later."""
        with Outbox(self._path, wait=WAIT) as outbox:
            dispatcher = Dispatcher(outbox, self._open_sink, self._guard, self._tracker)  # type: ignore[arg-type]
            troubles = 0
            while not self._over:
                waiting, problem = dispatcher.attempt()
                self._problem = problem
                troubles = troubles + 1 if problem else 0
                with self._looked:
                    self._looks += 1
                    self._looked.notify_all()
                if waiting and not problem:
                    continue
                dispatcher.release()
                if troubles:  # new entries do not shorten the pause, a flush does
                    self._urgent.wait(retry.pause(troubles, initial=POLL, maximum=LONGEST_PAUSE))
                else:
                    self._awake.wait()
                self._urgent.clear()
                self._awake.clear()
            dispatcher.close()
