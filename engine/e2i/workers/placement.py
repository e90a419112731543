"""Choose a worker and cores for a call. In: a call and the workers. Out: the choice. No side effects."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from e2i.catalog.action import Effect
from e2i.catalog.registry import Registry
from e2i.workers.executor import FULL_AFFINITY, StepCall
from e2i.workers.process import WorkerProcess


def idle(call: StepCall, processes: Sequence[WorkerProcess]) -> WorkerProcess | None:
    """Return the idle worker with the best affinity, first for the tool, then for the data."""
    there = [process for process in processes if process.idle]
    tool, data = tool_of(call.uses), list(digests_of(call.params))

    def fitness(process: WorkerProcess) -> tuple[bool, int, bool, int]:
        held = sum(digest in process.digests for digest in data)
        return not process.preparing, held, tool in process.tools[-1:], len(process.tools)

    return max([process for process in there if tool in process.tools] or there, key=fitness, default=None)


def ahead(call: StepCall, processes: Sequence[WorkerProcess], now: float, registry: Registry) -> WorkerProcess | None:
    """Return the worker that can prefetch the call.

    A call with its own limits waits for a worker without other calls. A call with effects does not begin before the
    engine knows the result of the previous one.
    """
    declared = registry.action(call.uses)
    if call.memory is not None or call.cpus is not None or declared is None or declared.effect is not Effect.PURE:
        return None
    tool = tool_of(call.uses)
    there = [process for process in processes if process.prefetch_capacity(now) > 0 and tool in process.tools]
    return min(there, key=lambda process: len(process.calls), default=None)


def affinity(uses: str, processes: Sequence[WorkerProcess]) -> int:
    """Return how ready the idle workers are for an action.

    0: none has its tool; 1: one has; 2 (``FULL_AFFINITY``): the tool is the last one that a worker used.
    """
    tool = tool_of(uses)
    ready = (process for process in processes if tool in process.tools and process.idle)
    return max((FULL_AFFINITY if process.tools[-1] == tool else 1 for process in ready), default=0)


def cores(count: int | None, processes: Sequence[WorkerProcess]) -> tuple[int, ...]:
    """Return the cores for a call: those assigned to the fewest other calls."""
    if count is None:
        return ()
    taken = Counter(core for process in processes if process.calls for core in process.cores)
    allowed = sorted(os.sched_getaffinity(0), key=lambda core: (taken[core], core))
    return tuple(sorted(allowed[:count]))


def digests_of(value: Any) -> Iterator[str]:
    """Return the digests of the artifacts in plain data."""
    if isinstance(value, dict):
        digest = value.get("digest")
        if isinstance(digest, str):
            yield digest
        else:
            for item in value.values():
                yield from digests_of(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                yield from digests_of(item)


def tool_of(uses: str) -> str:
    return uses.partition(".")[0]
