"""Collect the steps of a run with what the plan, the run store and the spec record of each.

In: the document of a run. Out: its steps. Pure: no clock, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.spec.load import load
from e2i.spec.models import PipelineSpec

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
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None
    agent: str | None
    description: str

    @property
    def seconds(self) -> float | None:
        """Returns the time from the start of the first attempt to the end; None for a step without start or end."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return (self.ended_ms - self.started_ms) / 1000


def read_spec(run: Mapping[str, Any]) -> PipelineSpec | None:
    """Returns the spec of the run; None when this version of e2i cannot read it."""
    loaded, _ = load(run["spec"], run["file"])
    return loaded.spec if loaded else None


def of(run: Mapping[str, Any], spec: PipelineSpec | None) -> tuple[Step, ...]:
    """Returns every step of the run's plan, in order, whether it was reached or not."""
    recorded = {step["step"]: step for step in run["steps"]}
    makers = {fingerprint: result["run"] for fingerprint, result in run["results"].items()}
    found = []
    for index, planned in enumerate(run["plan"]["steps"], start=1):
        row = recorded.get(planned["id"], {})
        found.append(_step(planned, row, spec, f"step-{index}", makers.get(row.get("fingerprint"))))
    return tuple(found)


def _step(
    planned: Mapping[str, Any],
    found: Mapping[str, Any],
    spec: PipelineSpec | None,
    anchor: str,
    made_in: str | None,
) -> Step:
    group = _COMBINATION.sub("", planned["id"])
    written = spec.steps.get(group) if spec else None
    status = found.get("status", "pending")
    return Step(
        id=planned["id"],
        group=group,
        anchor=anchor,
        uses=planned["uses"],
        needs=tuple(planned["needs"]),
        verdict=planned["verdict"],
        reason=planned["reason"]["detail"] or planned["reason"]["code"].replace("-", " "),
        status=status,
        note=found.get("note", ""),
        attempts=found.get("attempts", 0),
        tries=tuple(_attempt(attempt) for attempt in found.get("tries", ())),
        made_in=made_in,
        started_ms=found.get("started_ms"),
        ended_ms=found.get("ended_ms"),
        fingerprint=found.get("fingerprint") or planned["fingerprint"],
        outputs=found.get("outputs") or {},
        error=found.get("error"),
        agent=written.agent if written else None,
        description=written.description.strip() if written else "",
    )


def _attempt(found: Mapping[str, Any]) -> Attempt:
    error = found["error"] or {}
    return Attempt(found["started_ms"], found["seconds"], error.get("message", ""), error.get("code", ""))
