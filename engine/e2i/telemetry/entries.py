"""Telemetry of a run on its way to a tracker.

In: facts from steps and from the engine. Out: ``Entry``, a row of the outbox as JSON, and ``Sink``, which receives
entries.

Types of entries and their bodies (times are milliseconds since the epoch):

=================  ====================================================================================================
``run.started``    pipeline, params {name: value}, spec (digest), started_ms, profile
``param``          step, name, value
``metric``         step, name, value, index, at_ms
``child``          step, name, status, started_ms, ended_ms, params, metrics, index (which child of the step, from 0)
``attachment``     step, name, artifact (the document of a Stored artifact; a Model is logged as a model)
``step.finished``  step, uses, agent, status, attempts [{started_ms, ended_ms, seconds, error}], started_ms, ended_ms,
                   needs [ids], inputs, outputs, error, group
``run.finished``   status (succeeded, failed, interrupted), ended_ms
``run.abandoned``  ended_ms, reason: the run's process exited; ``run.started`` follows if the run is resumed
=================  ====================================================================================================

``group`` is the id of the matrix that the step is a combination of, or null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from e2i.catalog.action import ToolSettings

ENDS = ("run.finished", "run.abandoned")
"""Types of entries after which a run sends nothing, unless it is resumed."""


class Entry(Struct, frozen=True):
    """One thing to deliver to one sink.

    ``key`` is its idempotency key: delivering it twice must equal delivering it once. It begins with the run's id and a
    slash.
    """

    key: str
    sink: str
    run: str
    kind: str
    body: dict[str, Any]
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


def named(target: str) -> str:
    """Returns a tracker's name for display: its address, then whatever else distinguishes it."""
    if not target:
        return "the embedded tracker of the store"
    identity: dict[str, Any] = json.loads(target)
    address = next((str(value) for value in identity.values() if "://" in str(value)), "")
    rest = [f"{name} {value}" for name, value in identity.items() if value and value != address]
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
