"""Executor with warm worker processes on this machine. In: calls. Out: messages. No process is left behind.

Workers are started when there is work and kept between steps, with their libraries and data in memory. A worker that a
step left in disorder, or that uses too much memory, is replaced. Control messages are lines of JSON on a socket.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import assert_never

from e2i.catalog.registry import BUILT_IN, Registry
from e2i.workers import exit_reasons, guardian, memory, placement, watching
from e2i.workers.executor import Ended, Measured, Message, Progressed, StepCall
from e2i.workers.messages import Done, Prepare, Prepared, Progress, Ready, Report, Start, Telemetry
from e2i.workers.process import ABANDON_AFTER, BRIEF, FORCE_AFTER, WorkerProcess
from e2i.workspace.paths import Roots

ABSENCE = 5.0
"""Seconds without checking the workers after which the engine must have been stopped. The workers get that time back.
"""
RECYCLED_AT_LEAST = 1 << 30
"""Memory that a worker may use between two calls, in bytes, whatever the number of workers."""


class Pool:
    """Implements ``e2i.workers.executor.Executor`` with up to ``size`` processes."""

    def __init__(
        self,
        size: int,
        *,
        store: Path,
        roots: Roots,
        settings: str,
        environ: Mapping[str, str],
        registry: Registry = BUILT_IN,
        beside: Callable[[], Sequence[WorkerProcess]] | None = None,
    ) -> None:
        """``beside``: the worker processes whose cores a call avoids; default: those of this pool."""
        self.size = size
        self._registry = registry
        self._store = store
        self._workspace = roots.workspace
        self._environ = dict(environ)
        self._selector = selectors.DefaultSelector()
        self._processes: list[WorkerProcess] = []
        self._beside = beside or (lambda: self._processes)
        self._waiting: deque[StepCall] = deque()
        """Calls that were taken back, or that arrived when a worker was no longer free."""
        self._unsaid: list[Message] = []
        """Messages for the next ``poll``."""
        engine, self._lifeline = os.pipe()
        self._gone, guardians = os.pipe()
        self._inherited = (engine, guardians)
        self._dismissed = self._closed = self._abandoned = False
        self._machine = memory.machine()
        self._start_message = Start(
            store=str(store),
            workspace=str(roots.workspace),
            folders=roots.folders,
            hidden=roots.hidden,
            written=roots.written,
            operator=roots.operator,
            settings=settings,
            plugins=registry.plugins,
            presets=registry.presets,
            most=max(RECYCLED_AT_LEAST, self._machine // (2 * size)),
        )
        self._kills = memory.kills()
        self._polled = self._watched = time.monotonic()

    @property
    def processes(self) -> Sequence[WorkerProcess]:
        """Return its worker processes."""
        return tuple(self._processes)

    def free(self) -> int:
        now = time.monotonic()
        without = self.size - sum(process.call is not None for process in self._processes)
        return max(0, without + sum(process.prefetch_capacity(now) for process in self._processes) - len(self._waiting))

    def is_idle(self) -> bool:
        return not self._waiting and all(process.call is None for process in self._processes)

    def free_memory(self) -> int:
        calls = [*self._waiting, *(call for process in self._processes for call in process.calls)]
        return self._machine - sum(call.memory or 0 for call in calls)

    def affinity(self, uses: str) -> int:
        return placement.affinity(uses, self._processes)

    def submit(self, call: StepCall) -> None:
        self._waiting.append(call)
        self._hand_out()

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        """Distribute the imports of the next actions over the idle workers."""
        known = {tool for process in self._processes for tool in process.tools}
        for action in uses:
            tool = placement.tool_of(action)
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
            process.send(Prepare(tool))

    def poll(self, seconds: float) -> list[Message]:
        messages, self._unsaid = self._unsaid, []
        wait = 0.0 if messages else watching.wait(self._processes, self._watched, seconds, time.monotonic())
        for key, _ in self._selector.select(wait):
            messages.extend(self._receive(key.data))
        now = time.monotonic()
        absent = now - self._polled - wait
        self._polled = now
        if absent > ABSENCE:
            for process in self._processes:
                process.deadline += absent
        if now - self._watched >= watching.WATCH:
            self._watched = now
            self._watch()
        for process in list(self._processes):
            if len(process.calls) > 1 and now > process.started + BRIEF:
                self._take_back(process)
            if process.call and process.ending is None and now > process.deadline and self._is_about(process):
                process.end("timeout")
            elif process.ending is not None and now > process.asked + ABANDON_AFTER:
                messages.extend(self._abandon(process))
            elif process.ending is not None and now > process.asked + FORCE_AFTER:
                process.force()
        self._hand_out()
        return messages

    def cancel(self, step: str) -> None:
        for process in self._processes:
            if any(call.info.step == step for call in process.calls):
                self._take_back(process)
            if process.call and process.call.info.step == step and self._is_about(process):
                process.end("cancelled", at_once=True)
        for call in [call for call in self._waiting if call.info.step == step]:
            self._waiting.remove(call)
            failure = exit_reasons.failure(call, "cancelled", None, 0, 0, starved=False)
            self._unsaid.append(Ended(step, 0.0, failure=failure))

    def dismiss(self) -> None:
        if self._dismissed:
            return
        self._dismissed = True
        for process in self._processes:
            if process.call is None:
                process.retire()
            else:
                process.end("cancelled", at_once=True)
        os.close(self._lifeline)  # now guardians end the services

    def close(self) -> None:
        if self._closed:
            return
        self.dismiss()
        self._closed = True
        until = time.monotonic() + guardian.GRACE
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, until - time.monotonic()))
            process.reap(self._store)
        self._processes.clear()
        self._selector.close()
        for end in self._inherited:
            os.close(end)
        # End-of-file: the last guardian has exited. An unkillable process may hold the pipe too, so there is a limit.
        poll_timeout = 0.5 if self._abandoned else guardian.GRACE + 2 * guardian.LAST_WAIT
        guardian.readable([self._gone], poll_timeout)
        os.close(self._gone)

    def _hand_out(self) -> None:
        """Assign waiting calls to workers: idle ones first, then new ones, then as prefetched calls."""
        while self._waiting:
            call = self._waiting[0]
            process = placement.idle(call, self._processes)
            if process is None and sum(bool(other.calls) for other in self._processes) < self.size:
                process = self._start()
            process = process or placement.ahead(call, self._processes, time.monotonic(), self._registry)
            if process is None:
                return
            self._waiting.popleft()
            process.learn(placement.tool_of(call.uses), placement.digests_of(call.params))
            process.take(call, placement.cores(call.cpus, self._beside()))

    def _take_back(self, process: WorkerProcess) -> None:
        """Return the calls that the worker has not begun to the queue."""
        self._waiting.extendleft(reversed(process.take_back()))

    def _is_about(self, process: WorkerProcess) -> bool:
        """Return True when the worker certainly executes its first call and begins no other, so it may be ended."""
        self._take_back(process)
        return len(process.calls) == 1

    def _start(self) -> WorkerProcess:
        process = WorkerProcess.start(
            *self._inherited, log=self._store / "workers.log", environ=self._environ, workspace=self._workspace
        )
        self._processes.append(process)
        self._selector.register(process.control, selectors.EVENT_READ, process)
        process.send(self._start_message)
        return process

    def _receive(self, process: WorkerProcess) -> list[Message]:
        received = process.receive()
        if received is None:
            return self._reap(process)
        return [message for line in received for message in self._read(process, line)]

    def _read(self, process: WorkerProcess, report: Report) -> Iterator[Message]:
        call = process.call
        match report:
            case Ready(pid, held):
                process.pid, process.held = pid, held
            case Prepared():
                process.preparing, process.held = False, report.held
            case Telemetry(measured) if call is not None:
                yield from (Measured(call.info.step, body) for body in measured)
            case Progress(done, total, note) if call is not None:
                yield Progressed(call.info.step, done, total, note)
            case Done():
                process.held = report.held
                if call is not None and process.ending is None:  # once its end was decided, it is too late
                    yield self._end(process, call, report)
            case Telemetry() | Progress():
                return  # of a call that was taken back from the worker
            case _:
                assert_never(report)

    def _end(self, process: WorkerProcess, call: StepCall, done: Done) -> Ended:
        outcome = done.outcome
        failure = outcome.failure
        if failure is not None and failure.code == "out-of-memory":
            failure = exit_reasons.out_of_memory(
                call.memory or watching.memory_limit(call, self._machine), process.peak
            )
        process.remember(placement.digests_of(outcome.outputs))
        memory = max(done.peak, process.peak)
        cut = done.cut or process.cut
        process.end_call(done.seconds)
        if done.spent:
            self._take_back(process)
            process.retire()
        reused, lost = outcome.reused, outcome.lost
        return Ended(call.info.step, done.seconds, outcome.outputs, failure, reused, lost, cut, memory)

    def _watch(self) -> None:
        """End workers above their limit of memory or processes. Calls that take longer get their log from now on."""
        for process in self._processes:
            if process.call and process.ending is None and self._is_about(process):
                process.show_log(self._store)
                limit = watching.memory_limit(process.call, self._machine)
                process.trim_log(self._store)
                if process.look(limit) > limit:
                    process.end("out-of-memory", at_once=True)
                elif process.count > process.call.processes:
                    process.end("too-many-processes", at_once=True)

    def _reap(self, process: WorkerProcess) -> list[Message]:
        """Return the messages about a worker that has exited."""
        self._selector.unregister(process.control)
        self._processes.remove(process)
        self._take_back(process)
        call = process.call
        code = process.reap(self._store)
        if call is None:
            return []
        starved = False
        if code == 128 + signal.SIGKILL and process.ending is None:
            kills = memory.kills()
            starved, self._kills = kills > self._kills, kills
        failure = exit_reasons.failure(
            call,
            process.ending,
            code,
            watching.memory_limit(call, self._machine),
            process.peak,
            starved=starved,
            count=process.count,
        )
        return [Ended(call.info.step, time.monotonic() - process.started, failure=failure, cut=process.cut)]

    def _abandon(self, process: WorkerProcess) -> list[Message]:
        """Continue without a worker that the kernel does not release."""
        left = process.unkillable()
        messages = self._reap(process)
        if left:
            self._abandoned = True
            messages = [exit_reasons.unkillable(message, left) for message in messages if isinstance(message, Ended)]
        return messages
