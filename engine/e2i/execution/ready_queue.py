"""What is to be carried out and has to wait, and what will be: steps go in; out they come, the longest way to go first.

Pure: the time is handed in.
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
"""How many of the steps that wait are looked at for the one that a worker is most ready for."""
PREFETCH = 16
"""How many steps ahead in the plan a tool may be for workers to get ready for it."""


class ReadyQueue:
    """The steps of a run that wait: for their turn in the engine, for a worker, or for a time."""

    def __init__(self, steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> None:
        lengths = _critical_lengths(steps, is_inline)
        self._order = {step.id: (-lengths[step.id], position) for position, step in enumerate(steps)}
        self._is_inline = is_inline
        self.here: deque[str] = deque()
        """Those that need no worker."""
        self.waiting: deque[str] = deque()
        """Those that wait for a worker. Both: who has the most steps below in a row is first, equals as in the plan."""
        self._later: dict[str, float] = {}
        """Those that wait for their next attempt, or for another run that does their work; until when."""

    def add(self, step: str) -> None:
        insort(self.here if self._is_inline(step) else self.waiting, step, key=self._order.__getitem__)

    def take(self, affinity: Callable[[str], int]) -> str:
        """The next step for a worker: of those with the longest way to go the one that a worker is most ready for, by
        ``affinity`` (0 to ``FULL_AFFINITY``), the first of equals.
        """
        way, _ = self._order[self.waiting[0]]
        best, closest = 0, -1
        for position, step in enumerate(islice(self.waiting, CHOICE)):
            if self._order[step][0] != way or closest == FULL_AFFINITY:
                break
            if (found := affinity(step)) > closest:
                best, closest = position, found
        step = self.waiting[best]
        del self.waiting[best]
        return step

    def put_off(self, step: str, until: float) -> None:
        self._later[step] = until

    def take_in(self, now: float) -> None:
        """Those whose time has come wait with the others."""
        for step in [step for step, until in self._later.items() if until <= now]:
            del self._later[step]
            self.add(step)

    def seconds(self, now: float) -> float:
        """Until something may be done without a word from a worker."""
        return 0.0 if self.here else min((until - now for until in self._later.values()), default=math.inf)

    def steps(self) -> list[str]:
        """All of them."""
        return [*self.here, *self.waiting, *self._later]

    def keep(self, may_start: Callable[[str], bool]) -> None:
        """Forgets the others."""
        self.here = deque(filter(may_start, self.here))
        self.waiting = deque(filter(may_start, self.waiting))
        self._later = {step: until for step, until in self._later.items() if may_start(step)}


def _critical_lengths(steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> dict[str, int]:
    """For each step, how many at most that workers carry out follow it one after the other.

    How long they take is not known; their number is (Hu's rule, "highest level first").
    """
    lengths = dict.fromkeys((step.id for step in steps), 0)
    for step in reversed(steps):
        way = lengths[step.id] + (step.verdict not in (Verdict.SKIP, Verdict.REUSE) and not is_inline(step.id))
        for upstream in step.needs:
            lengths[upstream] = max(lengths[upstream], way)
    return lengths


class Prefetch:
    """The steps with which workers may have to use a tool for the first time."""

    def __init__(self, steps: Sequence[PlanStep], is_inline: Callable[[str], bool]) -> None:
        firsts: dict[str, tuple[int, PlanStep]] = {}
        for position, step in enumerate(steps):
            if step.verdict not in (Verdict.SKIP, Verdict.REUSE) and not is_inline(step.id):
                firsts.setdefault(step.uses.partition(".")[0], (position, step))
        self._firsts = list(firsts.values())

    def certain(self) -> list[str]:
        """The actions, one of each tool, that will be carried out and wait for nothing."""
        runs = (Verdict.RUN, Verdict.ALWAYS)
        return [step.uses for _, step in self._firsts if step.verdict in runs and not step.needs][:3]

    def uses(self, state: RunState, over: int) -> list[str]:
        """The actions that are next: one of each tool, and not far ahead, or the first worker with nothing to do would
        import everything. ``over``: how many steps of the plan are over.
        """
        self._firsts = [(position, step) for position, step in self._firsts if state.status[step.id] is Status.PENDING]
        return [step.uses for position, step in self._firsts if position < over + PREFETCH][:3]
