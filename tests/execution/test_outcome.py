"""The exit code of a run tells a bad model, a wrong configuration and an outage apart."""

from __future__ import annotations

import pytest

from e2i.catalog.step_error import ErrorDocument
from e2i.errors import Exit
from e2i.execution.outcome import exit_code
from e2i.execution.record import StepEnd
from e2i.execution.state import Status

OUTAGE = ErrorDocument("tool-unavailable", "down", outage=True)
AUTH = ErrorDocument("tool-auth", "wrong password")
DATABASE = ErrorDocument("tool-database", "no such database")
POOR = ErrorDocument("asked-to-fail", "poor")


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([POOR], Exit.STEP_FAILED),
        ([OUTAGE, OUTAGE], Exit.UNAVAILABLE),
        ([AUTH], Exit.BAD_INPUT),
        ([AUTH, DATABASE], Exit.BAD_INPUT),
        ([AUTH, POOR], Exit.STEP_FAILED),
        ([AUTH, OUTAGE], Exit.STEP_FAILED),
        ([], Exit.STEP_FAILED),
    ],
)
def test_a_run_that_only_lacks_the_right_configuration_is_bad_input(errors: list[ErrorDocument], code: Exit) -> None:
    ends = {
        f"s{number}": StepEnd(status=Status.FAILED, attempts=1, seconds=0.0, error=error)
        for number, error in enumerate(errors)
    }
    skipped = StepEnd(status=Status.SKIPPED, attempts=0, seconds=0.0, error=OUTAGE)
    assert exit_code("failed", {**ends, "below": skipped}, degraded=False) is code
