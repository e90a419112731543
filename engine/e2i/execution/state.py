"""Which steps are waiting, ready, running and done: the state machine of a run and nothing else.

In: what each step waits for, and transitions. Out: the steps that are ready, in order. Pure: no clock, no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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
    caller.
    """

    def __init__(self, needs: Mapping[str, tuple[str, ...]]) -> None:
        self.status = dict.fromkeys(needs, Status.PENDING)
        self._needs = needs
        self._missing = {step: len(above) for step, above in needs.items()}
        self._below: dict[str, list[str]] = {step: [] for step in needs}
        for step, above in needs.items():
            for other in above:
                self._below[other].append(step)
        self._ready = [step for step, count in self._missing.items() if count == 0]

    def take_ready(self) -> list[str]:
        """The steps that have become ready since the last call, in the order of the plan. Each is given once."""
        ready, self._ready = self._ready, []
        return ready

    def start(self, step: str) -> None:
        assert self.status[step] is Status.PENDING, f"{step} is {self.status[step]}"
        self.status[step] = Status.RUNNING

    def finish(self, step: str, status: Status) -> None:
        """A step is over, from pending or running."""
        assert self.status[step] in OPEN, f"{step} is {self.status[step]} already"
        assert status not in OPEN
        self.status[step] = status
        for other in self._below[step]:
            self._missing[other] -= 1
            if self._missing[other] == 0:
                self._ready.append(other)

    def failed_above(self, step: str) -> list[str]:
        """The steps right above that did not give a result."""
        return [above for above in self._needs[step] if self.status[above] not in GOOD]

    @property
    def is_over(self) -> bool:
        return all(status not in OPEN for status in self.status.values())

    def open(self, status: Status) -> list[str]:
        return [step for step, current in self.status.items() if current is status]
