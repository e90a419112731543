"""Events of a run.

In: facts. Out: ``Event``, printed as a line of JSON or text; ``Listener`` receives it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

SCHEMA_VERSION = 1


class Event(Struct, frozen=True):
    """Something that happened. ``at_ms`` is in milliseconds since the epoch; ``facts`` depend on ``name``.

    ``run.started`` steps, name, trackers, resumed, note · ``step.started`` attempt · ``step.progress`` done, total,
    note · ``step.retried`` attempt, wait, error · ``step.waiting`` by, holder, since ·
    ``step.finished`` status, seconds, attempts, error · ``artifact.corrupt`` digest, kept · ``spec.warning`` problem ·
    ``state.corrupt`` kept · ``log.cut`` limit · ``tool.degraded`` tool, waiting, refused, problem ·
    ``telemetry.waiting`` tool, waiting, tracker, profile ·
    ``run.stopping`` running ·
    ``run.finished`` status, steps, outputs, degraded.
    """

    name: str
    run: str
    at_ms: int
    step: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the line as the events schema defines it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "event": self.name,
            "run": self.run,
            "step": self.step,
            "at": self.at_ms / 1000,
            **self.facts,
        }


Listener = Callable[[Event], None]
