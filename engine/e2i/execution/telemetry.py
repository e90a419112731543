"""What a run tells its trackers: facts go in; entries of the outbox come out, and a courier that delivers them.

A run in which no step is carried out tells nothing, so that nothing need be imported for it; with the first step that
is, the trackers learn of everything, reused steps included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from e2i.catalog.telemetry import Entry
from e2i.execution.journal import Journal
from e2i.planning.fingerprint import reduced
from e2i.resilience.courier import Tally
from e2i.spec.expand import plain

BODY_LIMIT = 20_000
"""Characters of a step's inputs or outputs that a tracker is told."""

FinishCourier = Callable[[], Mapping[str, Tally]]


class Telemetry:
    """The telemetry of one run."""

    def __init__(
        self,
        run: str,
        started_ms: int,
        sinks: tuple[str, ...],
        journal: Journal,
        start_courier: Callable[[], FinishCourier],
    ) -> None:
        self._run = run
        self._started_ms = started_ms
        self._sinks = sinks
        self._journal = journal
        self._start_courier = start_courier
        self._finish_courier: FinishCourier | None = None
        self._withheld: list[Entry] = []
        self._count = 0

    def begin(self, started: Mapping[str, Any]) -> None:
        """A step is carried out: the trackers learn of the run and of what was withheld. Later calls do nothing."""
        if self._finish_courier is None and self._sinks:
            self._journal.record([*self.entries("run.started", started), *self._withheld])
            self._withheld.clear()
            self._finish_courier = self._start_courier()

    def entries(self, kind: str, body: Mapping[str, Any]) -> list[Entry]:
        """One entry a sink. Their keys differ from those of every other entry, also when a run is resumed."""
        self._count += 1
        key = f"{self._run}/{self._started_ms}/{self._count}"
        return [Entry(key, sink, self._run, kind, dict(body)) for sink in self._sinks]

    def due(self, entries: list[Entry]) -> list[Entry]:
        """The entries to be made durable now: none of them while the trackers do not know of the run."""
        if self._finish_courier is not None:
            return entries
        self._withheld.extend(entries)
        return []

    def finish(self) -> dict[str, Tally]:
        """Waits, as long as the settings say, until all is delivered. What became of it, by sink."""
        return dict(self._finish_courier()) if self._finish_courier else {}


def bounded(value: Any) -> Any:
    """Plain data as a tracker is told it: artifacts as digests, and not more than it can show."""
    told = reduced(plain(value))
    text = json.dumps(told, ensure_ascii=False, default=dict)
    return told if len(text) <= BODY_LIMIT else {"truncated": text[:BODY_LIMIT]}
