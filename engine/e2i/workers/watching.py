"""Decide when running calls must be looked at next, and how much memory each may use. No side effects."""

from __future__ import annotations

from collections.abc import Sequence

from e2i.workers.executor import StepCall
from e2i.workers.process import ABANDON_AFTER, BRIEF, FORCE_AFTER, WorkerProcess

WATCH = 0.2
"""Seconds between measurements of running calls."""
UNSAID = 0.8
"""The share of the machine's memory that a step without a limit may use."""


def memory_limit(call: StepCall, machine: int) -> int:
    """Return the bytes that a call may use on a machine with so much memory."""
    return round(machine * UNSAID) if call.memory is None else call.memory


def wait(processes: Sequence[WorkerProcess], watched: float, seconds: float, now: float) -> float:
    """Return the waiting time: at most until the next time limit, or the next measurement of running calls.

    ``watched``: the time of the last measurement.
    """
    limits = [seconds]
    for process in processes:
        if process.ending is not None:
            forced = now > process.asked + FORCE_AFTER
            limits.append(process.asked + (ABANDON_AFTER if forced else FORCE_AFTER) - now)
        elif process.call:
            limits.extend((process.deadline - now, watched + WATCH - now))
            if len(process.calls) > 1:
                limits.append(process.started + BRIEF - now)
    return max(0.0, min(limits))
