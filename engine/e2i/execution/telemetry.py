"""What a run tells its trackers: facts go in; entries of the outbox come out, and a courier that delivers them.

A run in which no step is carried out tells nothing, so that nothing need be imported for it; with the first step that
is, the trackers learn of everything, reused steps included.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from e2i.catalog import registry
from e2i.planning.fingerprint import reduced
from e2i.spec.expansion.nodes import plain
from e2i.store.runs import RunStore
from e2i.telemetry.entries import ENDS, Entry, keyed
from e2i.telemetry.outbox import Tally

BODY_LIMIT = 20_000
"""Characters of a step's inputs or outputs that a tracker is told."""
MOMENTS = ("at_ms", "started_ms", "ended_ms")
"""What differs when the same is said again, by another attempt or a resumed run."""

FinishDelivery = Callable[[Callable[[], bool]], Mapping[str, Tally]]


class Telemetry:
    """The telemetry of one run."""

    def __init__(
        self,
        run: str,
        started_ms: int,
        sinks: tuple[str, ...],
        run_store: RunStore,
        start_delivery: Callable[[], FinishDelivery],
        *,
        limit: int,
        target: Callable[[str], str] = lambda sink: "",
    ) -> None:
        """``target`` names the tracker of a sink, as the settings do."""
        self._run = run
        self._started_ms = started_ms
        self._sinks = sinks
        self._target = cache(target)
        self._run_store = run_store
        self._start_delivery = start_delivery
        self._finish_delivery: FinishDelivery | None = None
        self._capacity = limit
        self.refused = 0
        """How many measurements there was no room for."""
        self._involved: list[str] = []
        """Trackers beside the sinks that the run is in."""
        self._began = False
        self._withheld: list[Callable[[], list[Entry]]] = []
        self._said: dict[str, dict[str, int]] = {}
        """By step, what its present attempt has recorded so far, and how often."""

    @property
    def is_wanted(self) -> bool:
        """Whether any tracker is to be told."""
        return bool(self._sinks)

    def known_to(self) -> list[str]:
        """The trackers that have heard of the run before: it is resumed, and they have to learn how it ends now."""
        return [sink for sink in registry.SINKS if self._run_store.reported_to(sink, self._run)]

    def end_waits(self) -> bool:
        """Whether a tracker of the settings has yet to hear of the end of a run."""
        return any(target in (None, self._target(sink)) for sink, target in self._run_store.end_waits())

    def begin(self, started: Mapping[str, Any]) -> None:
        """A step is carried out: the trackers learn of the run and of what was withheld. Later calls do nothing."""
        if not self._began and self._sinks:
            self._began = True
            self._run_store.record(self.entries("run.started", started))
            for entries in self._withheld:
                self._run_store.record(entries())
            self._withheld.clear()
            self.wake()

    def involve(self, tracker: str, started: Mapping[str, Any]) -> None:
        """The run is in a tracker, a sink or not. One that is none learns how it begins and ends, and nothing else."""
        if tracker not in (*self._sinks, *self._involved):
            self._involved.append(tracker)
            self._run_store.record(self.entries("run.started", started, (tracker,)))
            self.wake()

    def wake(self) -> None:
        """There is something to deliver."""
        if self._finish_delivery is None:
            self._finish_delivery = self._start_delivery()

    def admit(self) -> bool:
        """Whether one more measurement may be recorded: a run's share of the store and of a tracker is bounded."""
        if self._capacity:
            self._capacity -= 1
            return True
        self.refused += 1
        return False

    def begin_attempt(self, step: str) -> None:
        """What the step says from now on is said anew, not once more."""
        self._said.pop(step, None)

    def entries(self, kind: str, body: Mapping[str, Any], trackers: Sequence[str] = ()) -> list[Entry]:
        """One entry for each of the trackers; without them for each sink, and of an end for all that the run is in.

        Their keys say what the entry says, moments aside: what an attempt repeats that another one was killed at, or a
        resumed run of a step that it reuses, the outbox has had before. What ends differs with each start of the run.
        """
        step, said = str(body.get("step", "")), dict(body)
        if kind in ("run.started", "step.finished", *ENDS):
            key = f"{self._run}/{step}/{kind}/{self._started_ms}"
            self.begin_attempt(step)
        else:
            counts = self._said.setdefault(step, {})
            digest = _digest(said)
            again = counts[digest] = counts.get(digest, -1) + 1
            key = f"{self._run}/{step}/{kind}/{digest}" + (f"/{again}" if again else "")
            if kind == "child":
                said["index"] = counts["children"] = counts.get("children", -1) + 1
        reported_to = trackers or ((*self._sinks, *self._involved) if kind in ENDS else self._sinks)
        meant = [(sink, self._target(sink)) for sink in reported_to]
        return [Entry(keyed(key, target), sink, self._run, kind, said, target=target) for sink, target in meant]

    def due(self, entries: Callable[[], list[Entry]]) -> list[Entry]:
        """The entries to be made durable now: none while the trackers do not know of the run, nor without trackers."""
        if self._began or self._involved:
            return entries()
        if self._sinks:
            self._withheld.append(entries)
        return []

    def finish(self, hurried: Callable[[], bool]) -> dict[str, Tally]:
        """Waits, as long as the settings say, until all is delivered or the wait is ``hurried``; the tally by sink."""
        return dict(self._finish_delivery(hurried)) if self._finish_delivery else {}


def bounded(value: Any) -> Any:
    """Plain data as a tracker is told it: artifacts as digests, and not more than it can show."""
    reported_to = reduced(plain(value))
    text = json.dumps(reported_to, ensure_ascii=False, default=dict)
    return reported_to if len(text) <= BODY_LIMIT else {"truncated": text[:BODY_LIMIT]}


def _digest(body: Mapping[str, Any]) -> str:
    """Of what an entry says, moments aside."""
    content = {name: value for name, value in body.items() if name not in MOMENTS}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
