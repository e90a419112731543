"""What is measured while a run goes on, on its way to a tracker.

In: facts from steps and from the engine. Out: ``Entry``, the JSON-able row of the outbox, and ``Sink``, which takes
them.

Kinds and their bodies (times are milliseconds since the epoch):

=================  ====================================================================================================
``run.started``    pipeline, params {name: value}, spec (digest), started_ms, profile
``param``          step, name, value
``metric``         step, name, value, index, at_ms
``child``          step, name, status, started_ms, ended_ms, params, metrics, index (which child of the step, from 0)
``attachment``     step, name, artifact (the document of a Stored artifact; a Model is logged as a model)
``step.finished``  step, uses, agent, status, attempts [{started_ms, ended_ms, seconds, error}], started_ms, ended_ms,
                   needs [ids], inputs, outputs, error, group
``run.finished``   status (succeeded, failed, interrupted), ended_ms
``run.abandoned``  ended_ms, reason: the run's process died; ``run.started`` follows if the run is resumed
=================  ====================================================================================================

``group`` is the id of the matrix that the step is a combination of, or null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Stored

KINDS = ("run.started", "param", "metric", "child", "attachment", "step.finished", "run.finished", "run.abandoned")
ENDS = ("run.finished", "run.abandoned")
"""The kinds after which nothing comes of a run, unless it is resumed."""


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
    """Order within the outbox; given by it."""
    target: str | None = ""
    """The tracker that it is meant for, as ``target_of`` names it; None: an older version wrote it, and did not say."""


def target_of(settings: ToolSettings) -> str:
    """Returns the text that names the tracker of a tool's settings; empty for the embedded one of the store."""
    identity = settings.identity()
    return json.dumps(identity, sort_keys=True, ensure_ascii=False) if identity else ""


def keyed(key: str, target: str | None) -> str:
    """Returns the key of an entry for a tracker: an entry that another tracker had is none that this one had."""
    return f"{key}@{hashlib.blake2b(target.encode(), digest_size=4).hexdigest()}" if target else key


def named(target: str) -> str:
    """Returns a tracker as it is told to people: its address, then whatever else tells it from others."""
    if not target:
        return "the embedded tracker of the store"
    identity: dict[str, Any] = json.loads(target)
    address = next((str(value) for value in identity.values() if "://" in str(value)), "")
    rest = [f"{name} {value}" for name, value in identity.items() if value and value != address]
    return f"{address} ({', '.join(rest)})" if rest else address


class Sink(Protocol):
    """Takes entries to a tool. Made in the courier's process by ``e2i.tools.<tool>.sink.open_sink``."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Delivers entries of one run, in order, all or none as far as the tool allows; safe to repeat.

        Raises ToolUnavailable when the tool is down (the entries stay), with the code ``history-lost`` when it has lost
        what it took before (that is delivered again), and StepError when the tool refuses the entries for good (they
        are set aside with the reason), with the code ``run-unknown`` when it has nothing to add them to: that may be
        delivered again, else they are set aside until what began their run is taken.
        """

    def close(self) -> None:
        """Ends it at once: a delivery that hangs in another thread writes nothing more."""


OpenSink = Callable[[ToolSettings, Path, Callable[[Stored], Path]], Sink]
"""``open_sink(settings, home, open_artifact)``: what the tools of ``registry.SINKS`` offer in their ``sink`` module."""
