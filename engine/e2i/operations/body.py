"""Build the notification about the end of a run. In: its last event, or its error. Out: a document, and its JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence

from msgspec import convert

from e2i.documents import plain
from e2i.errors import E2IError, ToolUnavailable
from e2i.execution.events import RunFinished, ToolDegraded
from e2i.operations.notification import End, Notification, NotifiedError, WaitingTelemetry
from e2i.workers.masking import Masker
from e2i.workspace.workspace import Workspace

MOST = 100
"""Maximum number of errors in a notification."""


def document(
    end: RunFinished | E2IError,
    *,
    exit_code: int,
    run: str | None,
    pipeline: str | None,
    degraded: Sequence[ToolDegraded],
    uses: Mapping[str, str],
    seconds: float,
    attempts: int,
    workspace: Workspace,
) -> Notification:
    """Returns the notification. ``uses``: the action of each step that was started."""
    status: End
    if isinstance(end, RunFinished):
        status, errors = end.status, tuple(_errors(end, uses))
    else:
        status = "interrupted" if run else "not-started"
        down = end if isinstance(end, ToolUnavailable) else None
        tool, outage = (down.tool, down.is_outage) if down else (None, False)
        errors = (NotifiedError(code=end.code, step=None, tool=tool, status=status, outage=outage),)
    report = workspace.store / "runs" / run / "report.html" if run else None
    return Notification(
        run=run,
        pipeline=pipeline,
        status=status,
        exit_code=exit_code,
        errors=errors[:MOST],
        degraded=end.degraded if isinstance(end, RunFinished) else bool(degraded),
        telemetry=tuple(
            WaitingTelemetry(tool=event.tool, waiting=event.waiting, refused=event.refused) for event in degraded
        ),
        ended_ms=time.time_ns() // 1_000_000,
        seconds=round(seconds, 3),
        attempts=attempts,
        profile=workspace.settings.profile,
        host=os.uname().nodename,
        report=str(report) if report and report.is_file() else None,
    )


def body_of(found: Notification, masker: Masker) -> bytes:
    """Returns the JSON of a notification, without secrets."""
    masked = convert(masker.data(plain(found)), Notification)
    return json.dumps(plain(masked), ensure_ascii=True).encode() + b"\n"


def _errors(end: RunFinished, uses: Mapping[str, str]) -> list[NotifiedError]:
    """Returns the errors of the steps: those that failed first."""
    found = [
        NotifiedError(
            code=step.error.code,
            step=name,
            tool=uses[name].partition(".")[0] if name in uses else None,
            status=step.status.value,
            outage=step.error.outage is True,
        )
        for name, step in end.steps.items()
        if step.error is not None
    ]
    return sorted(found, key=lambda error: error.status != "failed")
