"""Rows for tests, as a run writes them."""

from __future__ import annotations

from typing import Any

from e2i import compact
from e2i.documents import plain
from e2i.planning.inputs import Components
from e2i.resilience.processes import process_identity
from e2i.store.past import PlannedStep, RecordedPlan, RecordedReason
from e2i.store.rows import Result, RunRow, StepEnd

PLAN = "sha256:" + "ab" * 32
"""The digest of a plan."""


def plan_text(*steps: str, digest: str = PLAN, uses: str = "debug.echo", detail: str = "") -> str:
    """A recorded plan with these steps."""
    reason = RecordedReason(code="never-run", detail=detail)
    planned = [
        PlannedStep(id=step, uses=uses, needs=(), verdict="run", reason=reason, fingerprint=None) for step in steps
    ]
    summary = {"run": len(steps)}
    plan = RecordedPlan(digest=digest, name="p", profile="default", params={}, steps=tuple(planned), summary=summary)
    return compact.dumps(plain(plan))


def run_row(run: str = "r1", **facts: Any) -> RunRow:
    """A run that this process executes, with anything in it replaced."""
    row = {"pipeline": "p", "status": "running", "started_ms": 1, "holder": process_identity(), "file": "p.yaml"}
    texts = {"spec": "x", "profile": "default", "params": "{}", "plan": plan_text()}
    return RunRow(**{"run": run, **row, **texts, **facts})


def step_end(**facts: Any) -> StepEnd:
    """The end of a step that succeeded, with anything in it replaced."""
    end = {"pipeline": "p", "status": "succeeded", "ended_ms": 3, "fingerprint": None, "outputs": {}, "attempts": 1}
    return StepEnd(**{**end, **facts})


def inputs(seed: int = 0) -> Components:
    """What the fingerprint of a step covers."""
    return Components(
        action="debug.echo", version=1, written={"value": 1}, files={}, libraries={}, python="3.11", seed=seed
    )


def result(**facts: Any) -> Result:
    """A reusable result, with anything in it replaced."""
    keys = {"fingerprint": "f1", "static_key": "s1", "uses": "debug.echo", "run": "r1", "created_ms": 3}
    return Result(**{**keys, "components": inputs(), "outputs": {}, "telemetry": [], **facts})
