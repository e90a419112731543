"""The result of a run.

In: the ends of its steps. Out: ``RunRecord``, versioned and JSON-able.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from e2i.execution.state import Status
from e2i.telemetry.outbox import Tally

RunStatus = Literal["succeeded", "failed", "interrupted"]
SCHEMA_VERSION = 1


class StepRecord(Struct, frozen=True):
    """The end of a step. ``seconds`` is the duration of its last attempt, 0 for a step that was not executed."""

    id: str
    uses: str
    status: Status
    attempts: int = 0
    seconds: float = 0.0
    outputs: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
            "error": dict(self.error) if self.error else None,
        }


class RunRecord(Struct, frozen=True):
    """The end of a run, with the store that holds everything. Times are milliseconds since the epoch."""

    run: str
    pipeline: str
    status: RunStatus
    started_ms: int
    ended_ms: int
    steps: Mapping[str, StepRecord]
    outputs: Mapping[str, Any]
    store: Path
    telemetry: Mapping[str, Tally]
    """Delivered and waiting telemetry for each sink."""

    @property
    def refused(self) -> bool:
        """Returns whether the policy refused a step."""
        return any(step.error and str(step.error["code"]).startswith("policy-") for step in self.steps.values())

    @property
    def degraded(self) -> bool:
        """Returns whether work is missing: a step was deferred, or telemetry was not delivered or refused."""
        deferred = any(step.status is Status.DEFERRED for step in self.steps.values())
        return deferred or any(tally.left or tally.dead_lettered for tally in self.telemetry.values())

    @property
    def seconds(self) -> float:
        return max(0, self.ended_ms - self.started_ms) / 1000  # the clock may have been set back

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.run,
            "name": self.pipeline,
            "status": self.status,
            "steps": {name: step.to_json() for name, step in self.steps.items()},
            "outputs": dict(self.outputs),
            "degraded": self.degraded,
        }
