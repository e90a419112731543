"""A run and a shared store: results that others finished come in, those that the run finishes go out in the background.

In: the run's journal and its events. Out: a history for its planner; at the end, what could not be shared.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2i.execution.events import Event
from e2i.execution.relay import EventRelay
from e2i.store.artifacts import ArtifactStore, MissingArtifact
from e2i.store.database import FILE, StoreError
from e2i.store.history import stored_digests
from e2i.store.reading import open_for_reading
from e2i.store.runs import RunStore
from e2i.store.shared import NAME, SharedResults, SharedStore

FINISHED = "SELECT results.* FROM steps JOIN results USING (fingerprint) WHERE steps.run = ? AND steps.step = ?"


class Sharing:
    """What one run takes from a shared store and gives to it."""

    def __init__(
        self, shared: SharedStore, root: Path, run_store: RunStore, relay: EventRelay, poll_timeout: float
    ) -> None:
        """``poll_timeout``: seconds that the end of the run waits for what is not given away yet."""
        self.history = SharedResults(run_store, shared, self._take)
        """Results of the run's own store, and behind them shared ones, which are taken into it."""
        self._shared = shared
        self._root = root
        self._run_store = run_store
        self._relay = relay
        self._poll_timeout = poll_timeout
        self._artifacts = ArtifactStore(root)
        self._finished: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._offered = self._delivered = 0
        """Steps that are to be given away, as this thread counts, and those that are, as the other one does."""
        self._giving: threading.Thread | None = None
        relay.before_end(self.close)

    def emit(self, event: Event) -> None:
        """Hears what the run says: a step that has succeeded has a durable result, which is given away."""
        if event.name == "step.finished" and event.facts["status"] == "succeeded" and event.step is not None:
            if self._giving is None:
                self._giving = threading.Thread(target=self._give, name="e2i-sharing", daemon=True)
                self._giving.start()
            self._offered += 1
            self._finished.put((event.run, event.step))
        self._relay.emit(event)

    def close(self) -> None:
        """Waits until all is given away, as long as there is patience; says once what is not, or what went wrong."""
        if self._giving is not None:
            self._finished.put(None)
            self._giving.join(self._poll_timeout)
        left = self._offered - self._delivered
        if left or self._shared.problem:
            self._relay.notice(
                "tool.degraded", tool=NAME, waiting=0, refused=left, problem=self._shared.problem or "too slow"
            )

    def _take(self, result: Mapping[str, Any]) -> bool:
        try:
            named = set(stored_digests([result["outputs"], result["telemetry"]]))
            if not all(self._shared.fetch(digest, self._artifacts) for digest in sorted(named)):
                return False
        except (MissingArtifact, OSError) as error:  # no digests, or no room: as if it had not been there
            self._shared.problem = str(error)
            return False
        self._run_store.adopt(result)
        return True

    def _give(self) -> None:
        while (finished := self._finished.get()) is not None:
            result = self._result(*finished)
            if result is None or self._shared.push(result, self._artifacts):
                self._delivered += 1

    def _result(self, run: str, step: str) -> dict[str, Any] | None:
        """The reusable result of a step; None when it left none."""
        try:
            with contextlib.closing(open_for_reading(self._root / FILE)) as database:
                row = database.execute(FINISHED, (run, step)).fetchone()
        except StoreError as error:
            self._shared.problem = error.message
            return None
        if row is None:
            return None
        found = {key: row[key] for key in row.keys() if key != "checksum"}  # noqa: SIM118 - iterating a row gives its values
        return found | {name: json.loads(found[name]) for name in ("components", "outputs", "telemetry")}
