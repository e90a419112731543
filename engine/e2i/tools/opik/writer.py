"""Make entries durable beside the program. In: entries, from any thread or event loop. Out: entries in the outbox.

The program does not wait for the disk unless it asks to. What was submitted is written in order, many entries in one
transaction, within milliseconds; at a normal exit nothing is left.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from e2i.errors import E2IError
from e2i.telemetry.entries import Entry

log = logging.getLogger(__name__)
MOST = 1_000
"""Entries in one transaction."""


class Writer:
    """Calls ``put`` in one thread. What cannot be written is logged: telemetry does not break the program."""

    _scheduled: bool

    def __init__(self, put: Callable[[Sequence[Entry]], None]) -> None:
        self._put = put
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def submit(self, entries: Sequence[Entry]) -> None:
        """Queues entries; returns at once."""
        with self._lock:
            self._waiting.extend(entries)
            if self._scheduled or not self._waiting:
                return
            self._scheduled = True
        self._run(self._drain)

    def written(self) -> Future[None]:
        """Returns a future that is done when everything that was submitted before is durable."""
        return self._run(lambda: None)

    def _begin(self) -> None:
        """Starts without entries; in a fork too, which has the queue of its parent without the thread."""
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._scheduled = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="e2i-opik")  # joined when the interpreter exits

    def _run(self, work: Callable[[], None]) -> Future[None]:
        try:
            return self._thread.submit(work)
        except RuntimeError:  # the interpreter is exiting: threads do not begin any more
            work()
            done: Future[None] = Future()
            done.set_result(None)
            return done

    def _drain(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                if not batch:
                    self._scheduled = False
                    return
            try:
                self._put(batch)
            except (OSError, sqlite3.Error, E2IError, ValueError) as error:
                log.warning("%d document(s) for Opik are lost: %s: %s", len(batch), type(error).__name__, error)
