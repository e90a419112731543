"""The steps of a run: plan, journal and spec told together."""

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


def test_a_step_that_was_skipped_says_for_want_of_what() -> None:
    run = run_document(
        [planned("first"), planned("last", "first")],
        [recorded("first", "failed"), recorded("last", "skipped", seconds=None)],
    )
    assert steps.of(run, None)[1].note == "no result from first (failed)"


def test_a_step_whose_condition_did_not_hold_says_the_condition() -> None:
    run = run_document([planned("last")], [recorded("last", "skipped", seconds=None)])
    assert steps.of(run, steps.read_spec(run))[0].note == "when: ${{ params.n > 2 }}"


def test_a_step_that_was_not_carried_out_took_no_time() -> None:
    run = run_document(steps=[recorded("first", "reused", seconds=None)])
    assert [step.seconds for step in steps.of(run, None)] == [None] * 4
