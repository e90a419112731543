"""Publish events from outside the engine between the run's start and its end.

In: events of the engine and notices. Out: one sequence of events.

The store finds corruption during planning, before the run begins. What could not be shared is known at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from e2i.execution.events import ArtifactCorrupt, Event, Listener, RunFinished, RunStarted, Stamped
from e2i.store.artifacts import Corruption


class EventRelay:
    """A listener in front of another one, used by the engine's thread."""

    def __init__(self, listen: Listener, now_ms: Callable[[], int]) -> None:
        self._listen = listen
        self._now_ms = now_ms
        self._run: str | None = None
        self._held: list[Event] = []
        self._endings: list[Callable[[], None]] = []

    def emit(self, event: Event) -> None:
        """Passes an event of the engine on, with queued events before or after it."""
        if isinstance(event, RunFinished):
            for ending in self._endings:
                ending()
        self._listen(event)
        if isinstance(event, RunStarted):
            self._run = event.run
            held, self._held = self._held, []
            for early in held:
                self._listen(replace(early, run=event.run))

    def notice(self, stamped: Stamped) -> None:
        """Publishes an event that does not come from the engine."""
        event = stamped(self._run or "", self._now_ms() / 1000)
        if self._run is None:
            self._held.append(event)
        else:
            self._listen(event)

    def corruption(self, corruption: Corruption) -> None:
        """Reports that an artifact is corrupt."""
        self.notice(partial(ArtifactCorrupt, digest=corruption.digest, kept=str(corruption.kept)))

    def before_end(self, ending: Callable[[], None]) -> None:
        """Registers a function that is called right before the run's last event."""
        self._endings.append(ending)
