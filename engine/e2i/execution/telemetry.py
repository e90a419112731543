"""Report a run to its trackers.

In: bodies of entries. Out: entries of the outbox, and a process that delivers them.

A run that executes no step reports nothing, so that nothing need be imported for it. With the first executed step the
trackers receive everything, reused steps included.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from e2i.catalog.registry import SINKS
from e2i.documents import JsonObject
from e2i.planning.fingerprint import reduced
from e2i.spec.expansion.nodes import plain
from e2i.store.runs import RunStore
from e2i.telemetry.bodies import ENDS, Body, Child, Measurement, StartedRun, recorded
from e2i.telemetry.entries import Entry, keyed
from e2i.telemetry.outbox import Tally
from e2i.telemetry.quota import Quota

BODY_LIMIT = 20_000
"""Maximum number of characters of a step's inputs or outputs in telemetry."""
MOMENTS = ("at_ms", "started_ms", "ended_ms")
"""Fields that differ when another attempt or a resumed run reports the same again."""

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
        size_limit: int = 2_000_000_000,
        target: Callable[[str], str] = lambda sink: "",
    ) -> None:
        """``limit``: number of measurements. ``size_limit``: bytes that may wait in the outbox. ``target`` returns the
        tracker of a sink in the settings.
        """
        self._run = run
        self._started_ms = started_ms
        self._sinks = sinks
        self._target = cache(target)
        self._run_store = run_store
        self._start_delivery = start_delivery
        self._finish_delivery: FinishDelivery | None = None
        self._capacity = limit
        self.quota = Quota(size_limit, run_store.outbox_size)
        self.refused = 0
        """Number of measurements that exceeded the limit."""
        self._involved: list[str] = []
        """Trackers that the run is in and that are no sinks."""
        self._began = False
        self._withheld: list[Callable[[], list[Entry]]] = []
        self._recorded: dict[str, dict[str, int]] = {}
        """By step, the entries that its present attempt has recorded so far, with their count."""

    @property
    def is_wanted(self) -> bool:
        """Returns whether any tracker receives telemetry."""
        return bool(self._sinks)

    @property
    def began(self) -> bool:
        """Returns whether the run was reported: a step of it is executed."""
        return self._began

    def known_to(self) -> list[str]:
        """Returns the trackers that know the run from before: it is resumed, and they must receive its new end."""
        return [sink for sink in SINKS if self._run_store.reported_to(sink, self._run)]

    def end_waits(self) -> bool:
        """Returns whether a tracker of the settings has not received the end of some run."""
        return any(target in (None, self._target(sink)) for sink, target in self._run_store.end_waits())

    def begin(self, started: StartedRun) -> None:
        """Reports the run and all withheld entries to the trackers once a step is executed. Later calls do nothing."""
        if not self._began and self._sinks:
            self._began = True
            self._run_store.record(self.entries(started))
            for entries in self._withheld:
                self._run_store.record(entries())
            self._withheld.clear()
            self.wake()

    def involve(self, tracker: str, started: StartedRun) -> None:
        """Registers a tracker that the run is in, sink or not. One that is no sink receives only start and end of the
        run.
        """
        if tracker not in (*self._sinks, *self._involved):
            self._involved.append(tracker)
            self._run_store.record(self.entries(started, (tracker,)))
            self.wake()

    def wake(self) -> None:
        """Starts the delivery, unless it is running."""
        if self._finish_delivery is None:
            self._finish_delivery = self._start_delivery()

    def admit(self) -> bool:
        """Returns whether one more measurement may be recorded. Their number is limited for each run."""
        if self._capacity:
            self._capacity -= 1
            return True
        self.refused += 1
        return False

    def thin(self, step: str, metric: str) -> bool:
        """Returns whether the next value of a metric is not recorded, because the outbox is full. Counts it then."""
        if not self._sinks or self.quota.admits(step, metric):
            return False
        self._run_store.thin(self._run)
        return True

    def begin_attempt(self, step: str) -> None:
        """Starts a new attempt: what the step reports from now on is not a repetition."""
        self._recorded.pop(step, None)

    def entries(self, body: Body, trackers: Sequence[str] = ()) -> list[Entry]:
        """Returns one entry for each of the trackers. Without trackers: one for each sink, and of an end for all that
        know the run.

        Keys are made of the content without times. So what another attempt repeats after a kill, or a resumed run for a
        reused step, is already in the outbox. Ends differ with each start of the run.
        """
        kind, content = recorded(body)
        step = content.get("step", "")
        if not isinstance(body, Measurement):
            key = f"{self._run}/{step}/{kind}/{self._started_ms}"
            self.begin_attempt(step)
        else:
            counts = self._recorded.setdefault(step, {})
            digest = _digest(content)
            again = counts[digest] = counts.get(digest, -1) + 1
            key = f"{self._run}/{step}/{kind}/{digest}" + (f"/{again}" if again else "")
            if isinstance(body, Child):
                content["index"] = counts["children"] = counts.get("children", -1) + 1
        sinks = trackers or ((*self._sinks, *self._involved) if kind in ENDS else self._sinks)
        meant = [(sink, self._target(sink)) for sink in sinks]
        return [Entry(keyed(key, target), sink, self._run, kind, content, target=target) for sink, target in meant]

    def due(self, entries: Callable[[], list[Entry]]) -> list[Entry]:
        """Returns the entries to commit now. Until the trackers know the run, entries are withheld; without trackers
        there are none.
        """
        if self._began or self._involved:
            return entries()
        if self._sinks:
            self._withheld.append(entries)
        return []

    def finish(self, hurried: Callable[[], bool]) -> dict[str, Tally]:
        """Waits until all is delivered, the time of the settings is over, or ``hurried``. Returns the tally by sink."""
        return dict(self._finish_delivery(hurried)) if self._finish_delivery else {}


def bounded(value: Any) -> Any:
    """Returns plain data for a tracker: artifacts as digests, truncated to what a tracker can show."""
    shown = reduced(plain(value))
    text = json.dumps(shown, ensure_ascii=False, default=dict)
    return shown if len(text) <= BODY_LIMIT else {"truncated": text[:BODY_LIMIT]}


def _digest(body: JsonObject) -> str:
    """Returns a digest of an entry without its times."""
    content = {name: value for name, value in body.items() if name not in MOMENTS}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
