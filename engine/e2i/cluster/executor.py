"""The executor of a cluster: portable calls are executed by its nodes, all others by processes of this machine.

In: calls. Out: messages about them, as from any executor.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence

from e2i.catalog.registry import Registry
from e2i.check.machine import may_leave
from e2i.cluster import placement
from e2i.cluster.dispatch import Dispatch
from e2i.workers.executor import Ended, Executor, Failure, Message, StepCall

LOOK = 1.0
"""Seconds between looks at the nodes, and at calls that are overdue."""
SLICE = 0.02
"""Seconds for which calls of this machine are waited for before the cluster is looked at."""


class ClusterExecutor:
    """Implements ``e2i.workers.executor.Executor``."""

    def __init__(self, local: Executor, dispatch: Dispatch, registry: Registry) -> None:
        """``local`` executes what must stay on this machine."""
        self._local = local
        self._dispatch = dispatch
        self._registry = registry
        self._here: deque[StepCall] = deque()
        """Calls of this machine that wait for a free process."""
        self._unsaid: list[Message] = []
        """Messages for the next ``poll``."""
        self._looked = 0.0
        self._closed = False

    def free(self) -> int:
        return max(0, self._local.free() - len(self._here)) + self._dispatch.free()

    def free_memory(self) -> int:
        return sys.maxsize  # each node has its own

    def is_idle(self) -> bool:
        return self._dispatch.is_idle() and not self._here and self._local.is_idle()

    def affinity(self, uses: str) -> int:
        return self._local.affinity(uses)

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        here = [action for action in uses if not may_leave(action, self._registry)]
        self._local.preload(here, certain=certain)

    def submit(self, call: StepCall) -> None:
        if placement.is_portable(call, self._registry):
            self._dispatch.submit(call)
        else:
            self._here.append(call)
            self._hand_out_here()

    def poll(self, seconds: float) -> list[Message]:
        found, self._unsaid = self._unsaid, []
        found += self._wait(0.0 if found else seconds)
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            found += self._dispatch.look(now)
        self._hand_out_here()
        return found

    def cancel(self, step: str) -> None:
        for call in [call for call in self._here if call.info.step == step]:
            self._here.remove(call)
            self._unsaid.append(Ended(step, 0.0, failure=Failure("cancelled", "it was cancelled")))
        self._local.cancel(step)
        self._unsaid += self._dispatch.cancel(step)

    def dismiss(self) -> None:
        self._dispatch.dismiss()
        self._local.dismiss()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._dispatch.close()
            self._local.close()

    def _wait(self, seconds: float) -> list[Message]:
        """Returns the available messages; waits for the first one."""
        found: list[Message] = []
        until = time.monotonic() + seconds
        while True:
            there, here = not self._dispatch.is_idle(), not self._local.is_idle()
            left = max(0.0, until - time.monotonic())
            if here or not there:
                found += self._local.poll(min(left, SLICE) if there else left)
            if there:
                found += self._dispatch.arrived(0.0 if here or found else min(left, LOOK))
            if found or time.monotonic() >= until:
                return found

    def _hand_out_here(self) -> None:
        """Starts waiting calls of this machine as its processes and its memory allow."""
        self._here.extend(self._dispatch.unportable)
        self._dispatch.unportable.clear()
        while self._here and self._local.free() > 0:
            memory = self._here[0].memory
            if memory is not None and memory > self._local.free_memory() and not self._local.is_idle():
                return
            self._local.submit(self._here.popleft())
