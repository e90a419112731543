"""The state machine of a run: which steps are waiting, ready, running and done.

In: the dependencies of each step, and transitions. Out: the ready steps, in order. Pure: no clock, no files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from itertools import islice


class Status(StrEnum):
    """The status of a step."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REUSED = "reused"
    FAILED = "failed"
    SKIPPED = "skipped"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"


OPEN = (Status.PENDING, Status.RUNNING)
GOOD = (Status.SUCCEEDED, Status.REUSED)


class RunState:
    """The steps of a run. A step is ready when all its upstream steps are over; the caller decides what that means for
    the step. The steps in ``last`` are ready only when all others are over.
    """

    def __init__(self, needs: Mapping[str, tuple[str, ...]], last: Collection[str] = frozenset()) -> None:
        self.status = dict.fromkeys(needs, Status.PENDING)
        self._in: dict[Status, dict[str, None]] = {status: {} for status in Status}
        self._in[Status.PENDING] = dict.fromkeys(needs)
        self._last = frozenset(last)
        self._before_last = len(needs) - len(self._last)
        """Number of the other steps that are open."""
        self._needs = needs
        self._missing = {step: len(upstream) for step, upstream in needs.items()}
        self._downstream: dict[str, list[str]] = {step: [] for step in needs}
        for step, upstream in needs.items():
            for other in upstream:
                self._downstream[other].append(step)
        self._ready = [step for step, count in self._missing.items() if count == 0]

    def take_ready(self) -> list[str]:
        """Returns the steps that have become ready since the last call, in the order of the plan. Each is returned
        once.
        """
        ready = self._ready if self._before_last == 0 else [step for step in self._ready if step not in self._last]
        self._ready = [step for step in self._ready if step in self._last] if self._before_last else []
        return ready

    def start(self, step: str) -> None:
        assert self.status[step] is Status.PENDING, f"{step} is {self.status[step]}"
        self._move(step, Status.RUNNING)

    def finish(self, step: str, status: Status) -> None:
        """Closes a pending or running step."""
        assert self.status[step] in OPEN, f"{step} is {self.status[step]} already"
        assert status not in OPEN
        self._move(step, status)
        self._before_last -= step not in self._last
        for other in self._downstream[step]:
            self._missing[other] -= 1
            if self._missing[other] == 0:
                self._ready.append(other)

    def failed_upstream(self, step: str) -> list[str]:
        """Returns the direct upstream steps without a result."""
        return [upstream for upstream in self._needs[step] if self.status[upstream] not in GOOD]

    @property
    def is_over(self) -> bool:
        return not any(self._in[status] for status in OPEN)

    def open(self, status: Status, limit: int | None = None) -> list[str]:
        """Returns the steps in this status, in the order of the plan, at most ``limit``."""
        return list(islice(self._in[status], limit))

    def count(self, status: Status) -> int:
        """Returns the number of steps in this status."""
        return len(self._in[status])

    def _move(self, step: str, status: Status) -> None:
        del self._in[self.status[step]][step]
        self.status[step] = status
        self._in[status][step] = None
