"""Classify the end of a run: its exit code, and whether another attempt may succeed.

In: the status of a run and the ends of its steps. Out: an exit code, a truth value.
"""

from __future__ import annotations

from collections.abc import Mapping

from e2i.errors import MISCONFIGURED, E2IError, Exit, ToolUnavailable
from e2i.execution.record import RunStatus, StepEnd
from e2i.execution.state import Status

LOST = ("worker-lost", "out-of-memory", "disk-full", "disk-failing")
"""Codes of steps that failed because of the machine: another attempt may succeed."""
DISK = ("disk-full", "disk-failing")
"""Codes of steps that failed because of the disk: no fault of the spec or its data."""
PASSING = ("store-busy", "disk-full", "disk-failing")
"""Codes of errors of the store that may be gone later."""


def exit_code(
    status: RunStatus,
    steps: Mapping[str, StepEnd],
    *,
    degraded: bool,
    strict: bool = False,
    interrupted: Exit = Exit.INTERRUPTED,
) -> Exit:
    """Returns the exit code of a run. ``strict``: deferred work counts as an outage."""
    match status:
        case "succeeded":
            return Exit.UNAVAILABLE if strict and degraded else Exit.DONE
        case "interrupted":
            return interrupted
        case "failed":
            failed = [step.error for step in steps.values() if step.status is Status.FAILED]
            if any(error is not None and error.code.startswith(("policy-", "not-approved")) for error in failed):
                return Exit.REFUSED
            if failed and all(error is not None and error.code in MISCONFIGURED for error in failed):
                return Exit.BAD_INPUT
            is_outage = all(error is not None and (error.outage is True or error.code in DISK) for error in failed)
            return Exit.UNAVAILABLE if failed and is_outage else Exit.STEP_FAILED


def may_succeed(status: RunStatus, steps: Mapping[str, StepEnd], *, strict: bool = False) -> bool:
    """Returns whether another attempt of a run makes sense: tools were unavailable, or the machine failed, and no
    step failed for another reason. ``strict``: a deferred step counts as failed.
    """
    missed = (Status.FAILED, Status.DEFERRED) if strict else (Status.FAILED,)
    if status == "interrupted" or (status == "succeeded" and not strict):
        return False
    errors = [step.error for step in steps.values() if step.status in missed]
    return bool(errors) and all(error is not None and (error.outage is True or error.code in LOST) for error in errors)


def may_pass(error: E2IError) -> bool:
    """Returns whether an error that ended a run may be gone later: an outage, a full disk, a busy store."""
    return error.is_outage if isinstance(error, ToolUnavailable) else error.code in PASSING
