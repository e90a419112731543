"""Which ends of a run are tried again, and after which waits."""

from __future__ import annotations

import pytest

from e2i.alerting import RunRetry
from e2i.catalog.step_error import ErrorDocument
from e2i.errors import AuthenticationFailed, BadInput, E2IError, ToolUnavailable
from e2i.execution.events import RunFinished
from e2i.execution.record import RunStatus, StepEnd
from e2i.execution.state import Status
from e2i.operations.retrying import RunRetries
from e2i.store.database import StoreError

OUTAGE = ErrorDocument("tool-unavailable", "down", outage=True)
LOST = ErrorDocument("worker-lost", "killed")
POOR = ErrorDocument("asked-to-fail", "poor")


def end(status: RunStatus, *steps: tuple[Status, ErrorDocument | None]) -> RunFinished:
    ends = {
        f"s{number}": StepEnd(status=status, attempts=1, seconds=0.0, error=error)
        for number, (status, error) in enumerate(steps)
    }
    return RunFinished("r", 1.0, status=status, steps=ends, outputs={}, degraded=False)


def retries(*, strict: bool = False) -> RunRetries:
    return RunRetries(3, RunRetry(initial="10s", max="30s"), lambda: 0.5, strict=strict)


@pytest.mark.parametrize(
    ("found", "again"),
    [
        (end("failed", (Status.SUCCEEDED, None), (Status.FAILED, OUTAGE)), True),
        (end("failed", (Status.FAILED, LOST)), True),
        (end("failed", (Status.FAILED, OUTAGE), (Status.FAILED, POOR)), False),
        (end("failed", (Status.FAILED, POOR)), False),
        (end("succeeded", (Status.DEFERRED, OUTAGE)), False),
        (end("interrupted", (Status.CANCELLED, OUTAGE)), False),
        (StoreError("full", code="disk-full"), True),
        (StoreError("busy", code="store-busy"), True),
        (StoreError("newer", code="store-too-new"), False),
        (ToolUnavailable("mlflow", "down"), True),
        (ToolUnavailable("mlflow", "none", code="tool-missing"), False),
        (AuthenticationFailed("mlflow", "no"), False),
        (BadInput("no", code="bad-option"), False),
    ],
)
def test_only_outages_and_failures_of_the_machine_are_tried_again(found: RunFinished | E2IError, again: bool) -> None:
    assert retries().follows(found) is again


def test_strictly_a_deferred_step_is_tried_again() -> None:
    assert retries(strict=True).follows(end("succeeded", (Status.DEFERRED, OUTAGE)))
    assert not retries(strict=True).follows(end("succeeded", (Status.SUCCEEDED, None)))


def test_waits_grow_to_their_maximum_and_attempts_are_limited() -> None:
    tried, outage = retries(), end("failed", (Status.FAILED, OUTAGE))
    waits = []
    while tried.follows(outage):
        waits.append(tried.next())
    assert waits == [9.0, 18.0, 27.0]


def test_a_wait_lasts_until_the_circuits_may_be_called() -> None:
    tried = retries()
    assert [tried.next(29.5), tried.next(10.0), tried.next()] == [29.5, 18.0, 27.0]
