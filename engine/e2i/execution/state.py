"""Which steps are waiting, ready, running and done: the state machine of a run and nothing else.

In: what each step waits for, and transitions. Out: the steps that are ready, in order. Pure: no clock, no files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from itertools import islice


class Status(StrEnum):
    """Where a step is."""

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
    """The steps of a run. A step is ready when all that it waits for is over; what that means for it is for the
    caller. The steps in ``last`` are ready only when all others are over.
    """

    def __init__(self, needs: Mapping[str, tuple[str, ...]], last: Collection[str] = frozenset()) -> None:
        self.status = dict.fromkeys(needs, Status.PENDING)
        self._in: dict[Status, dict[str, None]] = {status: {} for status in Status}
        self._in[Status.PENDING] = dict.fromkeys(needs)
        self._last = frozenset(last)
        self._before_last = len(needs) - len(self._last)
        """How many of the others are open."""
        self._needs = needs
        self._missing = {step: len(upstream) for step, upstream in needs.items()}
        self._downstream: dict[str, list[str]] = {step: [] for step in needs}
        for step, upstream in needs.items():
            for other in upstream:
                self._downstream[other].append(step)
        self._ready = [step for step, count in self._missing.items() if count == 0]

    def take_ready(self) -> list[str]:
        """The steps that have become ready since the last call, in the order of the plan. Each is given once."""
        given = self._ready if self._before_last == 0 else [step for step in self._ready if step not in self._last]
        self._ready = [step for step in self._ready if step in self._last] if self._before_last else []
        return given

    def start(self, step: str) -> None:
        assert self.status[step] is Status.PENDING, f"{step} is {self.status[step]}"
        self._move(step, Status.RUNNING)

    def finish(self, step: str, status: Status) -> None:
        """A step is over, from pending or running."""
        assert self.status[step] in OPEN, f"{step} is {self.status[step]} already"
        assert status not in OPEN
        self._move(step, status)
        self._before_last -= step not in self._last
        for other in self._downstream[step]:
            self._missing[other] -= 1
            if self._missing[other] == 0:
                self._ready.append(other)

    def failed_upstream(self, step: str) -> list[str]:
        """The steps right above that did not give a result."""
        return [upstream for upstream in self._needs[step] if self.status[upstream] not in GOOD]

    @property
    def is_over(self) -> bool:
        return not any(self._in[status] for status in OPEN)

    def open(self, status: Status, limit: int | None = None) -> list[str]:
        """The steps that are there now, in the order of the plan; not more than ``limit``."""
        return list(islice(self._in[status], limit))

    def count(self, status: Status) -> int:
        """How many steps are there now."""
        return len(self._in[status])

    def _move(self, step: str, status: Status) -> None:
        del self._in[self.status[step]][step]
        self.status[step] = status
        self._in[status][step] = None
