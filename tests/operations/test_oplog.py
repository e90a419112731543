"""Lines of the operator's log: one for each event, whatever text is in it, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from e2i.alerting import Log
from e2i.catalog.step_error import ErrorDocument
from e2i.execution import events
from e2i.execution.record import StepEnd
from e2i.execution.state import Status
from e2i.operations.oplog import LEVEL, OperatorLog, level_of
from e2i.resilience.breaker import State
from e2i.workers.masking import Masker

SECRET = "s3cret-4711-canary"
NASTY = f'a "quoted" text\nwith\x1b[31m lines\u2028 and {SECRET}'
ERROR = ErrorDocument("tool-unavailable", NASTY, "wait", outage=True)
END = StepEnd(status=Status.FAILED, attempts=1, seconds=0.5, error=ERROR)


def finished(status: Status, error: ErrorDocument | None = None) -> events.Event:
    return events.StepFinished("r", 1.0, step="a", status=status, attempts=1, seconds=0.25, error=error, note="")


def written(tmp_path: Path, found: list[events.Event], **settings: Any) -> list[str]:
    path = tmp_path / "op.log"
    log = OperatorLog(Log(file="op.log", **settings), path, Masker([SECRET]).text)
    for event in found:
        log.event(event)
    return path.read_text().splitlines() if path.exists() else []


EVENTS: list[events.Event] = [
    finished(Status.FAILED, ERROR),
    events.StepRetried("r", 1.0, step="a", attempt=2, wait=0.5, error=ERROR),
    events.StepWarned("r", 1.0, step="a", message=NASTY),
    events.ToolDegraded("r", 1.0, tool="mlflow", waiting=3, problem=NASTY),
    events.HookFinished("r", 1.0, hook="webhook http://a", delivered=False, attempts=1, seconds=1.0, problem=NASTY),
    events.RunFinished("r", 1.0, status="failed", steps={"a": END}, outputs={"rows": [1]}, degraded=False),
]


@pytest.mark.parametrize("form", ["text", "json"])
def test_each_event_is_one_line_without_secrets_and_control_characters(tmp_path: Path, form: str) -> None:
    lines = written(tmp_path, EVENTS, format=form, level="debug")
    assert len(lines) == len(EVENTS)
    for line in lines:
        assert SECRET not in line and line.isascii() and line.isprintable()
    if form == "json":
        documents = [json.loads(line) for line in lines]
        assert {document["at"] for document in documents} == {"1970-01-01T00:00:01.000Z"}
        assert documents[0]["facts"]["message"] == NASTY.replace(SECRET, "***")
        assert documents[0]["facts"]["outage"] is True
        assert documents[-1]["facts"] == {"status": "failed", "degraded": False, "errors": "tool-unavailable (a)"}
    else:
        assert lines[0].startswith("1970-01-01T00:00:01.000Z ERROR ")
        assert "step.finished run=r step=a status=failed attempts=1" in lines[0] and r"\nwith\u001b" in lines[0]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (finished(Status.SUCCEEDED), "info"),
        (finished(Status.FAILED, ERROR), "error"),
        (finished(Status.DEFERRED, ERROR), "warning"),
        (events.ToolDegraded("r", 1.0, tool="opik", waiting=1, problem=None), "warning"),
        (events.ToolDegraded("r", 1.0, tool="opik", refused=1, problem=None), "error"),
        (
            events.ToolCircuit("r", 1.0, tool="opik", server=None, state=State.OPEN, was=State.CLOSED, next_attempt=1),
            "warning",
        ),
        (
            events.ToolCircuit(
                "r", 1.0, tool="opik", server=None, state=State.CLOSED, was=State.OPEN, next_attempt=None
            ),
            "info",
        ),
        (events.StepProgress("r", 1.0, step="a", done=1, total=2, note=""), "debug"),
    ],
)
def test_the_level_tells_what_needs_somebody(event: events.Event, level: str) -> None:
    assert level_of(event) == level


def test_the_levels_are_those_of_events_that_there_are() -> None:
    assert LEVEL.keys() <= {event.__struct_config__.tag for event in get_args(events.Event)}


def test_a_lower_level_is_left_out(tmp_path: Path) -> None:
    assert written(tmp_path, [finished(Status.SUCCEEDED)], level="warning") == []
