"""The steps of a run from plan, run store and spec."""

from __future__ import annotations

from e2i.report import steps
from report.run_document import planned, recorded, run_document


def test_a_step_knows_what_the_spec_says_of_it() -> None:
    run = run_document()
    found = {step.id: step for step in steps.of(run, steps.read_spec(run))}
    assert (found["train[2]"].group, found["train[2]"].agent, found["first"].description) == (
        "train",
        "model_trainer",
        "Comes first.",
    )


def test_a_step_that_was_left_out_says_why() -> None:
    run = run_document([planned("last")], [recorded("last", "skipped", seconds=None, note="first returned no result")])
    assert steps.of(run, None)[0].note == "first returned no result"


def test_each_attempt_says_what_it_came_to() -> None:
    error = {"code": "tool-unavailable", "message": "down", "hint": None}
    tries = [{"started_ms": 1, "seconds": 0.5, "error": error}, {"started_ms": 2, "seconds": 1.5, "error": None}]
    found = steps.of(run_document(steps=[recorded("first", attempts=2, tries=tries)]), None)[0]
    assert [(attempt.code, attempt.seconds) for attempt in found.tries] == [("tool-unavailable", 0.5), ("", 1.5)]


def test_a_reused_step_names_the_run_that_executed_it() -> None:
    row = recorded("first", "reused", seconds=None, fingerprint="f")
    run = run_document(steps=[row], results={"f": {"run": "earlier", "components": {}}})
    assert steps.of(run, None)[0].made_in == "earlier"


def test_a_step_that_was_not_executed_took_no_time() -> None:
    run = run_document(steps=[recorded("first", "reused", seconds=None)])
    assert [step.seconds for step in steps.of(run, None)] == [None] * 4
