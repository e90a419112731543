"""Makes a tool fail in a test case, and lets waits between attempts pass at once.

In: an executor. Out: an ``Executor`` that answers the calls of one tool with failures.
"""

from __future__ import annotations

import time
from typing import assert_never

from e2i.testing.models import Fault
from e2i.workers.executor import Ended, Executor, Failure, Message, StepCall, Wrapper


class FaultyExecutor(Wrapper):
    """Passes calls on, unless their tool has a fault. With ``closes=False`` the executor is kept for other runs."""

    def __init__(self, executor: Executor, fault: Fault | None, *, closes: bool) -> None:
        super().__init__(executor)
        self._fault = fault
        self._closes = closes
        self._failed: list[Message] = []
        self._running: set[str] = set()
        self._skipped = 0.0

    def clock(self) -> float:
        """Returns the time in seconds, with the waits that were skipped."""
        return time.monotonic() + self._skipped

    def submit(self, call: StepCall) -> None:
        fault = self._fault
        tool = call.uses.partition(".")[0]
        if fault is None or tool != fault.tool or (fault.until is not None and call.info.attempt >= fault.until):
            self._running.add(call.info.step)
            super().submit(call)
        else:
            self._failed.append(Ended(call.info.step, 0.0, failure=_failure(fault)))

    def poll(self, seconds: float) -> list[Message]:
        if self._failed:
            failed, self._failed = self._failed, []
            return failed
        if not self._running and self._fault is not None:
            self._skipped += max(seconds, 0.0)
            seconds = 0.0
        messages = super().poll(seconds)
        self._running -= {message.step for message in messages if isinstance(message, Ended)}
        return messages

    def dismiss(self) -> None:
        if self._closes:
            super().dismiss()

    def close(self) -> None:
        if self._closes:
            super().close()


def _failure(fault: Fault) -> Failure:
    why = f"{fault.tool} fails in this test"
    match fault.kind:
        case "unavailable":
            return Failure("tool-unavailable", f"{fault.tool} is unavailable in this test", unavailable=True)
        case "timeout":
            return Failure("timeout", f"{why}: the time limit is exceeded")
        case "lost":
            return Failure("worker-lost", f"{why}: its worker process has exited", lost=True)
        case "error":
            return Failure("action-failed", why)
    assert_never(fault.kind)
