"""Queue the steps that wait for execution, longest critical path first, and predict the tools of the next ones.

In: steps. Out: steps in the order of execution. Pure: the time is passed in.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from e2i.execution.state import RunState, Status
from e2i.planning.model import PlanStep, Verdict
from e2i.workers.executor import FULL_AFFINITY

CHOICE = 16
"""Number of waiting steps among which a worker's affinity decides."""
PREFETCH = 16
"""Number of steps ahead in the plan for which workers preload tools."""


class ReadyQueue:
    """The steps of a run that wait: for their turn in the engine, for a worker, or for a time."""

    def __init__(self, steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> None:
        lengths = _critical_lengths(steps, is_inline)
        self._order = {step.id: (-lengths[step.id], position) for position, step in enumerate(steps)}
        self._is_inline = is_inline
        self.here: deque[str] = deque()
        """Steps that need no worker."""
        self.waiting: deque[str] = deque()
        """Steps that wait for a worker. Both: longest critical path first, equals in the order of the plan."""
        self._later: dict[str, float] = {}
        """Steps that wait for their next attempt, or for another run that executes their work, with the time until
        which they wait.
        """

    def add(self, step: str) -> None:
        insort(self.here if self._is_inline(step) else self.waiting, step, key=self._order.__getitem__)

    def take(self, affinity: Callable[[str], int]) -> str:
        """Returns the next step for a worker. Among the steps with the longest critical path, the highest ``affinity``
        (0 to ``FULL_AFFINITY``) wins, then the first.
        """
        length, _ = self._order[self.waiting[0]]
        best, closest = 0, -1
        for position, step in enumerate(islice(self.waiting, CHOICE)):
            if self._order[step][0] != length or closest == FULL_AFFINITY:
                break
            if (found := affinity(step)) > closest:
                best, closest = position, found
        step = self.waiting[best]
        del self.waiting[best]
        return step

    def put_off(self, step: str, until: float) -> None:
        self._later[step] = until

    def take_in(self, now: float) -> None:
        """Queues the steps whose time has come."""
        for step in [step for step, until in self._later.items() if until <= now]:
            del self._later[step]
            self.add(step)

    def seconds(self, now: float) -> float:
        """Returns the seconds until something can be done without a message from a worker."""
        return 0.0 if self.here else min((until - now for until in self._later.values()), default=math.inf)

    def steps(self) -> list[str]:
        """Returns all queued steps."""
        return [*self.here, *self.waiting, *self._later]

    def keep(self, may_start: Callable[[str], bool]) -> None:
        """Removes the steps that may not start."""
        self.here = deque(filter(may_start, self.here))
        self.waiting = deque(filter(may_start, self.waiting))
        self._later = {step: until for step, until in self._later.items() if may_start(step)}


def _critical_lengths(steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> dict[str, int]:
    """Returns for each step the largest number of steps in a row downstream that need a worker.

    Durations are not known, so steps are counted (Hu's rule, "highest level first").
    """
    lengths = dict.fromkeys((step.id for step in steps), 0)
    for step in reversed(steps):
        length = lengths[step.id] + (step.verdict not in (Verdict.SKIP, Verdict.REUSE) and not is_inline(step.id))
        for upstream in step.needs:
            lengths[upstream] = max(lengths[upstream], length)
    return lengths


class Prefetch:
    """The steps with which workers may need a tool for the first time."""

    def __init__(self, steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> None:
        firsts: dict[str, tuple[int, PlanStep]] = {}
        for position, step in enumerate(steps):
            if step.verdict not in (Verdict.SKIP, Verdict.REUSE) and not is_inline(step.id):
                firsts.setdefault(step.uses.partition(".")[0], (position, step))
        self._firsts = list(firsts.values())

    def certain(self) -> list[str]:
        """Returns the actions, one for each tool, that are certain to run and wait for nothing."""
        runs = (Verdict.RUN, Verdict.ALWAYS)
        return [step.uses for _, step in self._firsts if step.verdict in runs and not step.needs][:3]

    def uses(self, state: RunState, over: int) -> list[str]:
        """Returns the next actions: one for each tool, and not far ahead. Otherwise the first idle worker would import
        everything.

        ``over``: number of finished steps of the plan.
        """
        self._firsts = [(position, step) for position, step in self._firsts if state.status[step.id] is Status.PENDING]
        return [step.uses for position, step in self._firsts if position < over + PREFETCH][:3]
