"""Explain why an attempt ended without a message from its worker. In: facts of the exit. Out: a ``Failure``."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from msgspec.structs import replace

from e2i.spec import sizes
from e2i.workers.executor import Ended, Failure, StepCall

GIVE_IT_MORE = "reduce the step's data, or raise `resources: {memory: …}`"


def failure(
    call: StepCall, ending: str | None, code: int | None, limit: int, peak: int, *, starved: bool, count: int = 0
) -> Failure:
    """Return the failure of an ended worker.

    ``ending``: why we ended it, if we did. ``code``: its exit code, 128 + number for a signal. ``limit`` and ``peak``:
    allowed and measured memory in bytes; ``count``: measured number of processes. ``starved``: the kernel has killed
    processes because it was out of memory.
    """
    if ending == "timeout":
        message = f"it exceeded its time limit of {call.timeout:g} s and was ended"
        return Failure("timeout", message, "raise `timeout`, or reduce the step's work")
    if ending == "cancelled":
        return Failure("cancelled", "it was cancelled")
    if ending == "too-many-processes":
        message = f"it exceeded its limit of {call.processes} processes: it had {count} at a time"
        return Failure("too-many-processes", message, "start fewer, or raise `resources: {processes: …}`")
    seen = _seen(peak)
    if ending == "out-of-memory" or (code == 128 + signal.SIGABRT and call.memory and peak > call.memory // 2):
        return out_of_memory(limit, peak)
    if starved:
        message = f"the kernel killed its worker process because the machine was out of memory; {seen}"
        return Failure("out-of-memory", message, f"{GIVE_IT_MORE}, so that it does not run beside others", lost=True)
    if code == 128 + signal.SIGKILL:
        message = f"its worker process was killed (signal 9), often because the machine was out of memory; {seen}"
        return Failure("worker-lost", message, "reduce the step's data, or use a machine with more memory", lost=True)
    how = f"signal {code - 128}" if code is not None and code > 128 else f"exit code {code}"
    return Failure("worker-lost", f"its worker process ended with {how}", "see the step's log", lost=True)


def out_of_memory(limit: int, peak: int) -> Failure:
    """Return the failure of exceeding the memory limit."""
    message = f"it needs more memory than its limit of {sizes.text(limit)}: {_seen(peak)}"
    return Failure("out-of-memory", f"{message} and requested more" if 0 < peak <= limit else message, GIVE_IT_MORE)


def _seen(peak: int) -> str:
    """Describe the measured memory, if the process lived long enough."""
    return f"it used up to {sizes.text(peak)}" if peak > 0 else "it ended before its memory was measured"


def unkillable(ended: Ended, pids: Sequence[int]) -> Ended:
    """Return the same end, for a worker that cannot be killed."""
    assert ended.failure is not None
    left = ", ".join(map(str, pids))
    message = f"{ended.failure.message}; process {left} cannot be killed, because it waits inside the kernel"
    return replace(
        ended, failure=replace(ended.failure, message=message, hint="check the disk or mount that it waits for")
    )
