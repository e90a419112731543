"""Exchange results between a run and a shared store: fetch results of others, push those of the run in the background.

In: the run store and the events of the run. Out: a history for the planner; at the end, a report of what was not
shared.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from functools import partial
from pathlib import Path

from e2i.execution.events import Event, StepFinished, ToolDegraded
from e2i.execution.relay import EventRelay
from e2i.execution.state import Status
from e2i.store import assembly
from e2i.store.artifacts import ArtifactStore, MissingArtifact
from e2i.store.database import FILE, StoreError
from e2i.store.history import digests_of
from e2i.store.reading import open_for_reading
from e2i.store.rows import Result
from e2i.store.runs import RunStore
from e2i.store.shared import NAME, SharedResults, SharedStore

FINISHED = "SELECT results.* FROM steps JOIN results USING (fingerprint) WHERE steps.run = ? AND steps.step = ?"


class Sharing:
    """The exchange of one run with a shared store."""

    def __init__(
        self, shared: SharedStore, root: Path, run_store: RunStore, relay: EventRelay, poll_timeout: float
    ) -> None:
        """``poll_timeout``: seconds that the end of the run waits for results that are not pushed yet."""
        self.history = SharedResults(run_store, shared, self._take)
        """Results of the run's own store, backed by shared ones, which are copied into it."""
        self._shared = shared
        self._root = root
        self._run_store = run_store
        self._relay = relay
        self._poll_timeout = poll_timeout
        self._artifacts = ArtifactStore(root)
        self._finished: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._offered = self._delivered = 0
        """Number of steps to push, counted by this thread, and of steps pushed, counted by the other one."""
        self._pushing: threading.Thread | None = None
        relay.before_end(self.close)

    def emit(self, event: Event) -> None:
        """Passes an event on. A succeeded step has a committed result, which is queued to be pushed."""
        if isinstance(event, StepFinished) and event.status is Status.SUCCEEDED:
            if self._pushing is None:
                self._pushing = threading.Thread(target=self._push, name="e2i-sharing", daemon=True)
                self._pushing.start()
            self._offered += 1
            self._finished.put((event.run, event.step))
        self._relay.emit(event)

    def close(self) -> None:
        """Waits until all results are pushed, up to the timeout. Reports once what was not pushed, or the problem."""
        if self._pushing is not None:
            self._finished.put(None)
            self._pushing.join(self._poll_timeout)
        left = self._offered - self._delivered
        if left or self._shared.problem:
            problem = self._shared.problem or "too slow"
            self._relay.notice(partial(ToolDegraded, tool=NAME, refused=left, problem=problem))

    def _take(self, result: Result) -> bool:
        try:
            if not all(self._shared.fetch(digest, self._artifacts) for digest in digests_of(result)):
                return False
        except (MissingArtifact, OSError) as error:  # no digests, or a full disk: as if there were no result
            self._shared.problem = str(error)
            return False
        self._run_store.adopt(result)
        return True

    def _push(self) -> None:
        while (finished := self._finished.get()) is not None:
            result = self._result(*finished)
            if result is None or self._shared.push(result, self._artifacts):
                self._delivered += 1

    def _result(self, run: str, step: str) -> Result | None:
        """Returns the reusable result of a step; None when it left none."""
        try:
            with contextlib.closing(open_for_reading(self._root / FILE)) as database:
                row = database.execute(FINISHED, (run, step)).fetchone()
        except StoreError as error:
            self._shared.problem = error.message
            return None
        return assembly.result(row) if row is not None else None
