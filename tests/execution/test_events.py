"""Events: one struct for each, one line of JSON, one schema."""

from __future__ import annotations

import json
from typing import get_args

from e2i.catalog.step_error import ErrorDocument
from e2i.cli import documents
from e2i.cli.schemas import schema
from e2i.documents import read
from e2i.execution.events import Event, RunFinished, StepFinished
from e2i.execution.record import StepEnd
from e2i.execution.state import Status

FAILED = StepFinished(
    "r", 1.5, step="a", status=Status.FAILED, attempts=2, seconds=0.25, error=ErrorDocument("odd", "no rows"), note=""
)


def test_a_line_holds_the_keys_of_the_contract() -> None:
    assert json.loads(documents.dumps(FAILED)) == {
        "schema_version": 1,
        "event": "step.finished",
        "run": "r",
        "step": "a",
        "at": 1.5,
        "status": "failed",
        "attempts": 2,
        "seconds": 0.25,
        "error": {"code": "odd", "message": "no rows", "hint": None, "details": None},
        "note": "",
    }
    assert FAILED.to_json() == json.loads(documents.dumps(FAILED))


def test_a_line_is_read_back_as_the_event_that_it_was() -> None:
    ends = {"a": StepEnd(status=Status.REUSED, attempts=0, seconds=0.0, error=None)}
    finished = RunFinished("r", 2.0, status="succeeded", steps=ends, outputs={"x": [1]}, degraded=False)
    for event in (FAILED, finished):
        assert read(json.loads(documents.dumps(event)), Event) == event


def test_data_that_fast_json_cannot_write_does_not_stop_an_event() -> None:
    outputs = {"big": 2**100, "lone": "\ud800"}
    finished = RunFinished("r", 2.0, status="succeeded", steps={}, outputs=outputs, degraded=False)
    line = json.loads(documents.dumps(finished))
    assert (line["event"], line["outputs"]) == ("run.finished", outputs)


def test_the_schema_describes_every_event_and_only_final_statuses() -> None:
    found = schema("events")
    assert {one["$ref"] for one in found["anyOf"]} == {f"#/$defs/{kind.__name__}" for kind in get_args(Event)}
    status = found["$defs"]["StepFinished"]["properties"]["status"]["enum"]
    assert set(status) == {"succeeded", "reused", "failed", "skipped", "deferred", "cancelled"}
