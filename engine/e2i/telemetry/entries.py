"""Telemetry of a run on its way to a tracker.

In: ``bodies`` from steps and from the engine. Out: ``Entry``, a row of the outbox as JSON, and ``Sink``, which receives
entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from e2i.catalog.action import ToolSettings
from e2i.documents import JsonObject


class Entry(Struct, frozen=True):
    """One thing to deliver to one sink.

    ``key`` is its idempotency key: delivering it twice must equal delivering it once. It begins with the run's id and a
    slash.
    """

    key: str
    sink: str
    run: str
    kind: str
    body: JsonObject
    """The ``bodies.Body`` of that kind, as plain data: perhaps of an older version, which wrote other fields."""
    sequence: int = 0
    """Order within the outbox, which assigns it."""
    target: str | None = ""
    """The tracker that it is for, as named by ``target_of``. None: written by an older version without a target."""


def target_of(settings: ToolSettings) -> str:
    """Returns a text that identifies the tracker of a tool's settings. Empty for the embedded one of the store."""
    identity = settings.identity()
    return json.dumps(identity, sort_keys=True, ensure_ascii=False) if identity else ""


def keyed(key: str, target: str | None) -> str:
    """Returns the key of an entry for a tracker: the same entry for another tracker has another key."""
    return f"{key}@{hashlib.blake2b(target.encode(), digest_size=4).hexdigest()}" if target else key


def named(target: str | None) -> str:
    """Returns a tracker's name for display: its address, then whatever else distinguishes it."""
    if target is None:
        return "any tracker"
    if not target:
        return "the embedded tracker of the store"
    identity: dict[str, str | None] = json.loads(target)
    address = next((str(value) for value in identity.values() if "://" in str(value)), "")
    rest = [f"{name.removesuffix('_name')} {value}" for name, value in identity.items() if value and value != address]
    return f"{address} ({', '.join(rest)})" if rest else address


class Sink(Protocol):
    """Delivers entries to a tool. Created in the delivery process by ``e2i.tools.<tool>.sink.open_sink``."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Delivers entries of one run, in order, all or none as far as the tool allows. Safe to repeat.

        Raises ToolUnavailable when the tool is down (the entries stay), with the code ``history-lost`` when it lost
        what it had received before (which is delivered again). Raises StepError when the tool permanently refuses the
        entries (they are dead-lettered with the reason), with the code ``run-unknown`` when the tool does not know
        their run: they are delivered again, or else dead-lettered until the start of their run is accepted.
        """

    def close(self) -> None:
        """Stops at once: a delivery that hangs in another thread writes nothing more."""


@runtime_checkable
class Naming(Protocol):
    """A sink that gives ids of its own to the runs of programs."""

    def id_of(self, run: str) -> str | None:
        """Returns the tracker's id of a run whose start was delivered; None when it has none."""
