"""The steps of a run from plan, run store and spec."""

from __future__ import annotations

from e2i.catalog.step_error import ErrorDocument
from e2i.report import steps
from e2i.store.past import KeptResult, RecordedAttempt
from records.past import components
from report.past import past_run, planned, recorded


def test_a_step_knows_what_the_spec_says_of_it() -> None:
    run = past_run()
    found = {step.id: step for step in steps.of(run, steps.read_spec(run.run))}
    assert (found["train[2]"].group, found["train[2]"].agent, found["first"].description) == (
        "train",
        "model_trainer",
        "Comes first.",
    )


def test_a_step_that_was_left_out_says_why() -> None:
    run = past_run([planned("last")], [recorded("last", "skipped", seconds=None, note="first returned no result")])
    assert steps.of(run, None)[0].note == "first returned no result"


def test_each_attempt_says_what_it_came_to() -> None:
    error = ErrorDocument(code="tool-unavailable", message="down")
    tries = (
        RecordedAttempt(number=1, started_ms=1, ended_ms=2, seconds=0.5, error=error),
        RecordedAttempt(number=2, started_ms=2, ended_ms=4, seconds=1.5, error=None),
    )
    found = steps.of(past_run(steps=[recorded("first", attempts=2, tries=tries)]), None)[0]
    assert [(attempt.code, attempt.seconds) for attempt in found.tries] == [("tool-unavailable", 0.5), ("", 1.5)]


def test_a_reused_step_names_the_run_that_executed_it() -> None:
    row = recorded("first", "reused", seconds=None, fingerprint="f")
    run = past_run(steps=[row], results={"f": KeptResult(run="earlier", components=components("debug.echo", {}, {}))})
    assert steps.of(run, None)[0].made_in == "earlier"


def test_a_step_that_was_not_executed_took_no_time() -> None:
    run = past_run(steps=[recorded("first", "reused", seconds=None)])
    assert [step.seconds for step in steps.of(run, None)] == [None] * 4
