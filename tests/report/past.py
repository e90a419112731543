"""Past runs for tests, as the run store returns them, and small files for reports."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from e2i.records.past import PastRun
from e2i.store.past import (
    KeptResult,
    PlannedStep,
    RecordedOptions,
    RecordedPlan,
    RecordedReason,
    RecordedRun,
    RecordedStep,
    RunOrigin,
    StepStatus,
)

RUN = "20261122-000000-abcdef"
SPEC = """version: 1
name: demo
description: What it is for.
params:
  n: {type: integer, default: 3, description: How many}
steps:
  first: {uses: debug.echo, description: Comes first.}
  train: {uses: debug.echo, agent: model_trainer, matrix: {k: [1, 2]}, needs: [first]}
  last: {uses: debug.echo, needs: [train], when: "${{ params.n > 2 }}"}
"""
START = 1_795_392_000_000
DIGEST = "sha256:" + "ab" * 32


def planned(
    step: str, *needs: str, verdict: str = "run", detail: str = "never", uses: str = "debug.echo"
) -> PlannedStep:
    reason = RecordedReason(code="never-run", detail=detail)
    return PlannedStep(id=step, uses=uses, needs=needs, verdict=verdict, reason=reason, fingerprint=None)


def recorded(
    step: str, status: StepStatus = "succeeded", at: float = 0, seconds: float | None = 1, **more: Any
) -> RecordedStep:
    """A step's row. ``at`` is seconds after the start of the run; without ``seconds`` it was not executed."""
    began = START + int(at * 1000)
    found = RecordedStep(
        run=RUN,
        id=step,
        uses="debug.echo",
        needs=(),
        verdict="run",
        reason=RecordedReason(code="never-run", detail="never"),
        status=status,
        attempts=0 if seconds is None else 1,
        started_ms=None if seconds is None else began,
        ended_ms=began if seconds is None else began + int(seconds * 1000),
        outputs={},
    )
    return replace(found, **more)


def past_run(
    plan: Sequence[PlannedStep] | None = None,
    steps: Sequence[RecordedStep] | None = None,
    results: Mapping[str, KeptResult] | None = None,
    **more: Any,
) -> PastRun:
    """A run of SPEC that went well, with anything in it replaced. A step of the plan without a row is pending."""
    if plan is None:
        combinations = ("train[1]", "train[2]")
        plan = [planned("first"), *(planned(step, "first") for step in combinations), planned("last", *combinations)]
    if steps is None:
        steps = [
            recorded("first"),
            recorded("train[1]", at=1),
            recorded("train[2]", at=1, seconds=3),
            recorded("last", at=4.5),
        ]
    rows = {step.id: step for step in steps}
    found = RecordedRun(
        id=RUN,
        pipeline="demo",
        status="succeeded",
        started_ms=START,
        ended_ms=START + 6_000,
        paused_ms=0,
        resumed_ms=None,
        file="specs/demo.yaml",
        spec=SPEC,
        profile="default",
        params={"n": 3},
        plan=RecordedPlan(
            digest=DIGEST,
            name="demo",
            profile="default",
            params={"n": 3},
            steps=tuple(plan),
            summary={"run": 4, "reuse": 0, "undecided": 0, "always": 0, "skip": 0},
        ),
        outputs={},
        host="here",
        included={},
        options=RecordedOptions(),
        provenance=RunOrigin(),
        steps=tuple(_as_planned(step, rows.get(step.id)) for step in plan),
    )
    return PastRun(replace(found, **more), results or {})


def _as_planned(plan: PlannedStep, row: RecordedStep | None) -> RecordedStep:
    row = row or recorded(plan.id, "pending", started_ms=None, ended_ms=None, attempts=0)
    return replace(row, uses=plan.uses, needs=plan.needs, verdict=plan.verdict, reason=plan.reason)


def report_artifact(**more: Any) -> dict[str, Any]:
    return {
        "type": "report",
        "digest": DIGEST,
        "media_type": "text/html",
        "title": "A page",
        "entry": "index.html",
        **more,
    }


def png(width: int = 4, height: int = 3, padding: int = 0) -> bytes:
    """A valid grey picture; ``padding`` makes the file that much larger."""
    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    chunks: Mapping[bytes, bytes] = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"tEXt": b"note\0" + b"x" * padding,
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    framed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)
