"""An executor of warm worker processes on this machine: calls go in, messages come out, no process is left behind.

Workers are started when there is work for them and kept between steps, with their libraries and data in memory. One
that a step left in disorder, or that holds too much, is replaced. Control messages are lines of JSON on a socket.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2i.workers import deaths, guardian, memory
from e2i.workers.executor import Ended, Failure, Measured, Message, Progressed, StepCall
from e2i.workers.process import ABANDON_AFTER, FORCE_AFTER, WorkerProcess
from e2i.workspace.paths import Roots

WATCH = 0.2
"""Seconds between looks at the memory of what runs."""
UNSAID = 0.8
"""The share of the machine's memory that a step may hold for which no limit is given."""
ABSENCE = 5.0
"""Seconds without a look at the workers after which the engine must have been stopped: they get that time back."""
WORN_AT_LEAST = 1 << 30
"""Bytes that a worker may hold between two calls, however many workers there are."""


class Pool:
    """Implements ``e2i.workers.executor.Executor`` with up to ``size`` processes."""

    def __init__(self, size: int, *, store: Path, roots: Roots, settings: str, environ: Mapping[str, str]) -> None:
        self.size = size
        self._log = store / "workers.log"
        self._workspace = roots.workspace
        self._arguments: dict[str, Any] = {
            "store": str(store),
            "workspace": str(roots.workspace),
            "folders": list(roots.folders),
            "settings": settings,
        }
        self._environ = dict(environ)
        self._selector = selectors.DefaultSelector()
        self._processes: list[WorkerProcess] = []
        engine, self._lifeline = os.pipe()
        self._gone, guardians = os.pipe()
        self._inherited = (engine, guardians)
        self._closed = self._abandoned = False
        self._machine = memory.machine()
        self._worn = max(WORN_AT_LEAST, self._machine // (2 * size))
        self._kills = memory.kills()
        self._polled = self._watched = time.monotonic()

    def free(self) -> int:
        return self.size - sum(process.call is not None for process in self._processes)

    def is_idle(self) -> bool:
        return all(process.call is None for process in self._processes)

    def room(self) -> int:
        return self._machine - sum(process.call.memory or 0 for process in self._processes if process.call)

    def submit(self, call: StepCall) -> None:
        tool, digests = _tool(call.uses), list(_digests(call.params))
        process = self._choose(tool, digests)
        process.tools = [known for known in process.tools if known != tool] + [tool]
        process.remember(iter(digests))
        process.take(call, self._cores(call.cpus))

    def foresee(self, uses: Sequence[str]) -> None:
        """Spreads the imports of the next actions over the workers that have nothing to do."""
        known = {tool for process in self._processes for tool in process.tools}
        for action in uses:
            tool = _tool(action)
            if tool in known:
                continue
            known.add(tool)
            idle = [process for process in self._processes if process.idle and not process.preparing]
            if not idle and len(self._processes) < self.size:
                idle = [self._start()]
            if not idle:  # asked again when one is
                return
            process = min(idle, key=lambda other: len(other.tools))
            process.tools.append(tool)
            process.preparing = True
            process.send({"prepare": tool})

    def poll(self, seconds: float) -> list[Message]:
        messages: list[Message] = []
        wait = self._wait(seconds)
        for key, _ in self._selector.select(wait):
            messages.extend(self._receive(key.data))
        now = time.monotonic()
        absent = now - self._polled - wait
        self._polled = now
        if absent > ABSENCE:
            for process in self._processes:
                process.deadline += absent
        if now - self._watched >= WATCH:
            self._watched = now
            self._watch()
        for process in list(self._processes):
            if process.call and process.ending is None and now > process.deadline:
                process.end("timeout")
            elif process.ending is not None and now > process.asked + ABANDON_AFTER:
                messages.extend(self._abandon(process))
            elif process.ending is not None and now > process.asked + FORCE_AFTER:
                process.force()
        return messages

    def cancel(self, step: str) -> None:
        for process in self._processes:
            if process.call and process.call.info.step == step:
                process.end("cancelled", at_once=True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for process in self._processes:
            if process.call is None:
                process.retire()
            else:
                process.end("cancelled", at_once=True)
        until = time.monotonic() + guardian.GRACE
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, until - time.monotonic()))
            process.bury()
        self._processes.clear()
        self._selector.close()
        for end in (self._lifeline, *self._inherited):
            os.close(end)
        # End-of-file: the last guardian has gone. What cannot be killed may hold the pipe too, so there is a limit.
        patience = 0.5 if self._abandoned else guardian.GRACE + 2 * guardian.LAST_WAIT
        select.select([self._gone], [], [], patience)
        os.close(self._gone)

    def _choose(self, tool: str, digests: Sequence[str]) -> WorkerProcess:
        """The idle worker that knows the tool, then the data, best; a new one if none does and there is room."""
        idle = [process for process in self._processes if process.idle]
        ready = [process for process in idle if tool in process.tools]
        if not idle:
            return self._start()

        def fitness(process: WorkerProcess) -> tuple[bool, int, bool, int]:
            held = sum(digest in process.digests for digest in digests)
            return not process.preparing, held, tool in process.tools[-1:], len(process.tools)

        return max(ready or idle, key=fitness)

    def _cores(self, count: int | None) -> tuple[int, ...]:
        """The cores for a call that may use so many: those that the fewest other calls were given."""
        if count is None:
            return ()
        taken = Counter(core for process in self._processes if process.call for core in process.cores)
        allowed = sorted(os.sched_getaffinity(0), key=lambda core: (taken[core], core))
        return tuple(sorted(allowed[:count]))

    def _start(self) -> WorkerProcess:
        process = WorkerProcess.start(*self._inherited, log=self._log, environ=self._environ, workspace=self._workspace)
        self._processes.append(process)
        self._selector.register(process.control, selectors.EVENT_READ, process)
        process.send(self._arguments)
        return process

    def _receive(self, process: WorkerProcess) -> list[Message]:
        received = process.receive()
        if received is None:
            return self._bury(process)
        return [message for line in received for message in self._read(process, line)]

    def _read(self, process: WorkerProcess, message: dict[str, Any]) -> Iterator[Message]:
        process.pid = message.get("ready", process.pid)
        process.held = message.get("held", process.held)
        if "prepared" in message:
            process.preparing = False
        call = process.call
        if call is None:
            return
        for measured in message.get("telemetry", ()):
            yield Measured(call.info.step, measured["kind"], measured["body"])
        if "progress" in message:
            yield Progressed(call.info.step, **message["progress"])
        if "ended" in message and process.ending is None:  # once its end was decided, it is too late
            yield self._end(process, call, message["ended"], worn=message["worn"])

    def _end(self, process: WorkerProcess, call: StepCall, ended: dict[str, Any], *, worn: bool) -> Ended:
        process.call = None
        failure = Failure(**ended["failure"]) if ended["failure"] else None
        process.remember(_digests(ended["outputs"]))
        out_of_memory = failure is not None and failure.code == "out-of-memory"
        if out_of_memory:
            failure = deaths.out_of_memory(call.memory or self._limit(call), process.peak)
        if worn or out_of_memory or process.held > self._worn or process.has_new_segments():
            process.retire()
        return Ended(call.info.step, time.monotonic() - process.started, ended["outputs"], failure)

    def _watch(self) -> None:
        """Ends what holds more than it may."""
        for process in self._processes:
            if process.call and process.ending is None:
                limit = self._limit(process.call)
                if process.look(limit) > limit:
                    process.end("out-of-memory", at_once=True)

    def _limit(self, call: StepCall) -> int:
        return round(self._machine * UNSAID) if call.memory is None else call.memory

    def _bury(self, process: WorkerProcess) -> list[Message]:
        """What is to be said of a worker that has gone."""
        self._selector.unregister(process.control)
        self._processes.remove(process)
        code = process.bury()
        call = process.call
        if call is None:
            return []
        starved = False
        if code == 128 + signal.SIGKILL and process.ending is None:
            kills = memory.kills()
            starved, self._kills = kills > self._kills, kills
        failure = deaths.failure(call, process.ending, code, self._limit(call), process.peak, starved=starved)
        return [Ended(call.info.step, time.monotonic() - process.started, failure=failure)]

    def _abandon(self, process: WorkerProcess) -> list[Message]:
        """Goes on without a worker that the kernel does not let go of."""
        left = process.unkillable()
        messages = self._bury(process)
        if left:
            self._abandoned = True
            messages = [deaths.unkillable(message, left) for message in messages if isinstance(message, Ended)]
        return messages

    def _wait(self, seconds: float) -> float:
        """Not longer than until the next time limit, or the next look at the memory of what runs."""
        now = time.monotonic()
        limits = [seconds]
        for process in self._processes:
            if process.ending is not None:
                forced = now > process.asked + FORCE_AFTER
                limits.append(process.asked + (ABANDON_AFTER if forced else FORCE_AFTER) - now)
            elif process.call:
                limits.extend((process.deadline - now, self._watched + WATCH - now))
        return max(0.0, min(limits))


def _digests(value: Any) -> Iterator[str]:
    """The digests of the artifacts in plain data."""
    if isinstance(value, dict):
        digest = value.get("digest")
        if isinstance(digest, str):
            yield digest
        else:
            for item in value.values():
                yield from _digests(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                yield from _digests(item)


def _tool(uses: str) -> str:
    return uses.partition(".")[0]
