"""The result of a run.

In: the ends of its steps. Out: ``RunRecord``, versioned and JSON-able.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import Count, Documented, Element, JsonDocument, OutputValues
from e2i.execution.state import OPEN, Status
from e2i.telemetry.outbox import Tally

RunStatus = Literal["succeeded", "failed", "interrupted"]
FinalStatus = Annotated[
    Status, Meta(extra_json_schema={"enum": [status.value for status in Status if status not in OPEN]})
]
"""The status of a step that is over."""
Attempts = Annotated[Count, Meta(description="Number of attempts; 0: it was not executed.")]
Seconds = Annotated[float, Meta(ge=0, description="Duration of the last attempt.")]


class StepEnd(Element, frozen=True, kw_only=True):
    """The result of a step."""

    status: FinalStatus
    attempts: Attempts
    seconds: Seconds
    error: ErrorDocument | None


class RunEnd(JsonDocument, frozen=True, kw_only=True):
    """The result of a run for programs: ``RunRecord.document``."""

    run: str
    name: str
    status: RunStatus
    steps: dict[str, StepEnd]
    outputs: OutputValues
    degraded: bool


class StepRecord(Struct, frozen=True):
    """The end of a step. ``seconds`` is the duration of its last attempt, 0 for a step that was not executed."""

    id: str
    uses: str
    status: Status
    attempts: int = 0
    seconds: float = 0.0
    outputs: OutputValues | None = None
    error: ErrorDocument | None = None

    @property
    def end(self) -> StepEnd:
        return StepEnd(status=self.status, attempts=self.attempts, seconds=round(self.seconds, 3), error=self.error)


class RunRecord(Documented, frozen=True):
    """The end of a run, with the store that holds everything. Times are milliseconds since the epoch."""

    run: str
    pipeline: str
    status: RunStatus
    started_ms: int
    ended_ms: int
    steps: Mapping[str, StepRecord]
    outputs: OutputValues
    store: Path
    telemetry: Mapping[str, Tally]
    """Delivered and waiting telemetry for each sink."""
    thinned: int = 0
    """Number of values of metrics that were not recorded because the outbox was full."""

    @property
    def degraded(self) -> bool:
        """Returns whether work is missing: a step was deferred, or telemetry was not delivered, refused or thinned."""
        deferred = any(step.status is Status.DEFERRED for step in self.steps.values())
        return (
            deferred or self.thinned > 0 or any(tally.left or tally.dead_lettered for tally in self.telemetry.values())
        )

    @property
    def seconds(self) -> float:
        return max(0, self.ended_ms - self.started_ms) / 1000  # the clock may have been set back

    @property
    def ends(self) -> dict[str, StepEnd]:
        """Returns the results of the steps, in the order of the plan."""
        return {name: step.end for name, step in self.steps.items()}

    @property
    def document(self) -> RunEnd:
        return RunEnd(
            run=self.run,
            name=self.pipeline,
            status=self.status,
            steps=self.ends,
            outputs=self.outputs,
            degraded=self.degraded,
        )
