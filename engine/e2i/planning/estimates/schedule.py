"""Simulate when steps run: as many beside each other as there are workers, the longest critical path first. Pure.

In: the dependencies of steps, and what each takes. Out: the time until all are done, and the highest memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from typing import NamedTuple


class Taken(NamedTuple):
    """What all steps together take."""

    seconds: float
    memory: float
    """The highest sum of the memory of steps that run beside each other."""


def simulate(
    needs: Mapping[str, Collection[str]], seconds: Mapping[str, float], memory: Mapping[str, float], slots: int
) -> Taken:
    """Returns what steps take. ``needs`` is in topological order; a step without seconds takes none, and no worker."""
    after: dict[str, list[str]] = {name: [] for name in needs}
    left = dict.fromkeys(needs, 0)
    for name, upstream in needs.items():
        for other in upstream:
            if other in after:
                after[other].append(name)
                left[name] += 1
    path: dict[str, float] = {}
    for name in reversed(list(needs)):
        path[name] = seconds.get(name, 0.0) + max((path[other] for other in after[name]), default=0.0)
    ready = [(-path[name], name) for name in needs if left[name] == 0]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = highest = used = 0.0
    while ready or running:
        while ready and (len(running) < slots or not seconds.get(ready[0][1])):
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds.get(name, 0.0), name))
            used += memory.get(name, 0.0)
        highest = max(highest, used)
        now, name = heapq.heappop(running)
        used -= memory.get(name, 0.0)
        for other in after[name]:
            left[other] -= 1
            if left[other] == 0:
                heapq.heappush(ready, (-path[other], other))
    return Taken(now, highest)
