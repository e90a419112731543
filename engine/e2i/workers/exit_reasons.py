"""Why an attempt ended without a word from its worker: what is known of the death goes in, a ``Failure`` comes out."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from msgspec.structs import replace

from e2i.spec import sizes
from e2i.workers.executor import Ended, Failure, StepCall

GIVE_IT_MORE = "give the step less data, or more by `resources: {memory: …}`"


def failure(
    call: StepCall, ending: str | None, code: int | None, limit: int, peak: int, *, starved: bool, count: int = 0
) -> Failure:
    """``ending``: why we ended it, if we did. ``code``: its exit code, 128 + number for a signal. ``limit`` and
    ``peak``: bytes that it might hold, and was seen to hold; ``count``: processes that it was seen to have.
    ``starved``: the kernel has killed processes because it was out of memory.
    """
    if ending == "timeout":
        message = f"it took longer than its time limit of {call.timeout:g} s and was ended"
        return Failure("timeout", message, "raise `timeout`, or give the step less to do")
    if ending == "cancelled":
        return Failure("cancelled", "it was cancelled")
    if ending == "too-many-processes":
        message = f"it started more processes than its limit of {call.processes}: it had {count} at a time"
        return Failure("too-many-processes", message, "start fewer, or raise `resources: {processes: …}`")
    seen = _seen(peak)
    if ending == "out-of-memory" or (code == 128 + signal.SIGABRT and call.memory and peak > call.memory // 2):
        return out_of_memory(limit, peak)
    if starved:
        message = f"the kernel killed its worker process because the machine was out of memory; {seen}"
        return Failure("out-of-memory", message, f"{GIVE_IT_MORE}, so that it does not run beside others", lost=True)
    if code == 128 + signal.SIGKILL:
        message = f"its worker process was killed (signal 9): often the machine was out of memory; {seen}"
        return Failure("worker-lost", message, "give the step less data or a machine with more memory", lost=True)
    how = f"signal {code - 128}" if code is not None and code > 128 else f"exit code {code}"
    return Failure("worker-lost", f"its worker process ended with {how}", "see the step's log", lost=True)


def out_of_memory(limit: int, peak: int) -> Failure:
    """It wanted more than its limit."""
    message = f"it needs more memory than its limit of {sizes.text(limit)}: {_seen(peak)}"
    return Failure("out-of-memory", f"{message} and asked for more" if 0 < peak <= limit else message, GIVE_IT_MORE)


def _seen(peak: int) -> str:
    """How much it held, if it lived long enough to be looked at."""
    return f"it held up to {sizes.text(peak)}" if peak > 0 else "it ended before its memory was measured"


def unkillable(ended: Ended, pids: Sequence[int]) -> Ended:
    """The same end, of a worker that is not gone."""
    assert ended.failure is not None
    left = ", ".join(map(str, pids))
    message = f"{ended.failure.message}; process {left} cannot be killed: the kernel holds it in a wait of its own"
    return replace(ended, failure=replace(ended.failure, message=message, hint="see to the disk or mount it waits for"))
