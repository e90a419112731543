"""The document of a run goes in; its steps come out, with what the plan, the journal and the spec say of each.

Pure: no clock, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2i.spec.load import load
from e2i.spec.models import PipelineSpec, StepSpec

ATTENTION = ("failed", "running", "deferred", "cancelled", "pending", "skipped", "succeeded", "reused")
"""Every status, the one to look at first in front."""
GOOD = ("succeeded", "reused")
_CELL = re.compile(r"\[[^\]]*\](#\d+)?$")
"""What the id of a cell has beyond that of its step."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run. Times are milliseconds since the epoch; ``anchor`` is its place in the page."""

    id: str
    group: str
    """The step's id in the spec: cells of a matrix share it."""
    anchor: str
    uses: str
    needs: tuple[str, ...]
    verdict: str
    reason: str
    status: str
    note: str
    attempts: int
    started_ms: int | None
    ended_ms: int | None
    fingerprint: str | None
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None
    agent: str | None
    description: str

    @property
    def seconds(self) -> float | None:
        """From the start of the first attempt to the end; None for a step that was not carried out to its end."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return (self.ended_ms - self.started_ms) / 1000


def read_spec(run: Mapping[str, Any]) -> PipelineSpec | None:
    """The spec that the run was started from; None when this version of e2i cannot read it."""
    loaded, _ = load(run["spec"], run["file"])
    return loaded.spec if loaded else None


def of(run: Mapping[str, Any], spec: PipelineSpec | None) -> tuple[Step, ...]:
    """Every step of the run's plan, in its order, whether it was reached or not."""
    recorded = {step["step"]: step for step in run["steps"]}
    statuses = {name: step["status"] for name, step in recorded.items()}
    return tuple(
        _step(planned, recorded.get(planned["id"], {}), spec, f"step-{index}", statuses)
        for index, planned in enumerate(run["plan"]["steps"], start=1)
    )


def _step(
    planned: Mapping[str, Any],
    found: Mapping[str, Any],
    spec: PipelineSpec | None,
    anchor: str,
    statuses: Mapping[str, str],
) -> Step:
    group = _CELL.sub("", planned["id"])
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
        note=_note(planned, status, written, statuses),
        attempts=found.get("attempts", 0),
        started_ms=found.get("started_ms"),
        ended_ms=found.get("ended_ms"),
        fingerprint=found.get("fingerprint") or planned["fingerprint"],
        outputs=found.get("outputs") or {},
        error=found.get("error"),
        agent=written.agent if written else None,
        description=written.description.strip() if written else "",
    )


def _note(planned: Mapping[str, Any], status: str, written: StepSpec | None, statuses: Mapping[str, str]) -> str:
    """Why a step that the plan wanted was not carried out, told from what the journal keeps: it has no words for it."""
    if status != "skipped" or planned["verdict"] == "skip":
        return ""
    without = [
        f"{above} ({statuses.get(above, 'pending')})" for above in planned["needs"] if statuses.get(above) not in GOOD
    ]
    if without:
        return f"no result from {', '.join(without)}"
    return f"when: {written.when}" if written and written.when is not True else ""
