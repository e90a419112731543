"""Collect the steps of a run with what the plan, the run store and the spec record of each.

In: a past run. Out: its steps. Pure: no clock, no files.
"""

from __future__ import annotations

import re

from msgspec import Struct

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import OutputValues
from e2i.records.past import PastRun
from e2i.spec.load import load
from e2i.spec.models import PipelineSpec
from e2i.store.past import RecordedAttempt, RecordedRun, RecordedStep

ATTENTION = ("failed", "running", "deferred", "cancelled", "pending", "skipped", "succeeded", "reused")
"""Every status, the most important one first."""
GOOD = ("succeeded", "reused")
_COMBINATION = re.compile(r"\[[^\]]*\](#\d+)?$")
"""The suffix of a step id that names its matrix combination."""


class Attempt(Struct, frozen=True):
    """One attempt of a step. An empty message means success."""

    started_ms: int
    seconds: float
    message: str
    code: str


class Step(Struct, frozen=True):
    """One step of a run. Times are milliseconds since the epoch; ``anchor`` is its position in the page."""

    id: str
    group: str
    """The step's id in the spec, which its matrix combinations share."""
    anchor: str
    uses: str
    needs: tuple[str, ...]
    verdict: str
    reason: str
    status: str
    note: str
    attempts: int
    tries: tuple[Attempt, ...]
    """The finished attempts."""
    made_in: str | None
    """The run that executed the step, if its result is kept."""
    started_ms: int | None
    ended_ms: int | None
    fingerprint: str | None
    outputs: OutputValues
    error: ErrorDocument | None
    agent: str | None
    description: str

    @property
    def seconds(self) -> float | None:
        """Returns the time from the start of the first attempt to the end; None for a step without start or end."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return (self.ended_ms - self.started_ms) / 1000


def read_spec(run: RecordedRun) -> PipelineSpec | None:
    """Returns the spec of the run; None when this version of e2i cannot read it."""
    loaded, _ = load(run.spec, run.file)
    return loaded.spec if loaded else None


def of(past: PastRun, spec: PipelineSpec | None) -> tuple[Step, ...]:
    """Returns every step of the run's plan, in order, whether it was reached or not."""
    makers = {fingerprint: result.run for fingerprint, result in past.results.items()}
    planned = {step.id: step.fingerprint for step in past.run.plan.steps}
    return tuple(
        _step(row, planned.get(row.id), spec, f"step-{index}", makers.get(row.fingerprint or ""))
        for index, row in enumerate(past.run.steps, start=1)
    )


def _step(row: RecordedStep, planned: str | None, spec: PipelineSpec | None, anchor: str, made_in: str | None) -> Step:
    """``planned``: the fingerprint in the plan."""
    group = _COMBINATION.sub("", row.id)
    written = spec.steps.get(group) if spec else None
    return Step(
        id=row.id,
        group=group,
        anchor=anchor,
        uses=row.uses,
        needs=row.needs,
        verdict=row.verdict,
        reason=row.reason.detail or row.reason.code.replace("-", " "),
        status=row.status,
        note=row.note,
        attempts=row.attempts,
        tries=tuple(map(_attempt, row.tries)),
        made_in=made_in,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        fingerprint=row.fingerprint or planned,
        outputs=row.outputs or OutputValues(),
        error=row.error,
        agent=written.agent if written else None,
        description=written.description.strip() if written else "",
    )


def _attempt(found: RecordedAttempt) -> Attempt:
    error = found.error
    return Attempt(found.started_ms, found.seconds, error.message if error else "", error.code if error else "")
