"""An executor of warm worker processes on this machine: calls go in, messages come out, no process is left behind.

Workers are started when there is work for them and kept between steps, with their libraries and data in memory. Each is
a session of its own, so that ending it ends all that it started. Control messages are lines of JSON on a socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2i.execution.executor import Ended, Failure, Measured, Message, Progressed, StepCall
from e2i.execution.paths import Roots

GRACE = 5.0
"""Seconds between asking a worker to end and killing it."""


@dataclass(slots=True)
class _Process:
    """One worker as the engine sees it."""

    popen: subprocess.Popen[bytes]
    control: socket.socket
    tools: list[str] = field(default_factory=list)
    """Tools that it has imported, latest last."""
    call: StepCall | None = None
    started: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    ending: str | None = None
    """Why it is being ended: the code of the failure to report."""
    kill_at: float = 0.0


class Pool:
    """Implements ``e2i.execution.executor.Executor`` with up to ``size`` processes."""

    def __init__(self, size: int, *, store: Path, roots: Roots, settings: str, environ: Mapping[str, str]) -> None:
        self.size = size
        self._store, self._workspace = store, roots.workspace
        self._arguments: dict[str, Any] = {
            "store": str(store),
            "workspace": str(roots.workspace),
            "folders": list(roots.folders),
            "settings": settings,
        }
        self._environ = dict(environ)
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._foreseen: list[str] = []
        engine, self._lifeline = os.pipe()
        self._gone, guardians = os.pipe()
        self._inherited = (engine, guardians)
        self._closed = False

    def free(self) -> int:
        return self.size - sum(process.call is not None for process in self._processes)

    def submit(self, call: StepCall) -> None:
        process = self._choose(call)
        process.call = call
        process.started = time.monotonic()
        process.tools = [tool for tool in process.tools if tool != _tool(call.uses)] + [_tool(call.uses)]
        self._send(process, {"call": asdict(call)})

    def foresee(self, uses: Sequence[str]) -> None:
        """Spreads the imports of the next actions over the workers that have nothing to do."""
        known = {tool for process in self._processes for tool in process.tools}
        for action in uses:
            tool = _tool(action)
            if tool in known:
                continue
            known.add(tool)
            idle = [process for process in self._processes if process.call is None and process.ending is None]
            if not idle and len(self._processes) < self.size:
                idle = [self._start()]
            if idle:
                process = min(idle, key=lambda other: len(other.tools))
                process.tools.append(tool)
                self._send(process, {"prepare": tool})

    def poll(self, seconds: float) -> list[Message]:
        messages: list[Message] = []
        for key, _ in self._selector.select(self._wait(seconds)):
            messages.extend(self._receive(key.data))
        now = time.monotonic()
        for process in list(self._processes):
            if process.call and process.ending is None and now - process.started > process.call.timeout:
                self._end(process, "timeout")
            if process.ending is not None and now >= process.kill_at:
                _signal(process, signal.SIGKILL)
        return messages

    def cancel(self, step: str) -> None:
        for process in self._processes:
            if process.call and process.call.info.step == step:
                self._end(process, "cancelled")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for process in self._processes:
            process.control.close()  # a worker whose control socket is closed ends itself and its group
        until = time.monotonic() + GRACE
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, until - time.monotonic()))
            _signal(process, signal.SIGKILL)
            process.popen.wait()
        self._processes.clear()
        self._selector.close()
        for end in (self._lifeline, *self._inherited):
            os.close(end)
        while os.read(self._gone, 1):  # end-of-file: the last guardian has gone
            pass
        os.close(self._gone)

    def _choose(self, call: StepCall) -> _Process:
        """The idle worker that knows the tool best; a new one if none does and there is room."""
        tool = _tool(call.uses)
        idle = [process for process in self._processes if process.call is None and process.ending is None]
        ready = [process for process in idle if tool in process.tools]
        if ready:
            return max(ready, key=lambda process: (process.tools[-1] == tool, len(process.tools)))
        if idle:
            return max(idle, key=lambda process: len(process.tools))
        return self._start()

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair()
        with (self._store / "workers.log").open("ab") as log:
            popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "e2i.execution.worker", str(theirs.fileno()), *map(str, self._inherited)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                cwd=self._workspace,
                pass_fds=(theirs.fileno(), *self._inherited),
                start_new_session=True,
            )
        theirs.close()
        process = _Process(popen, ours)
        self._processes.append(process)
        self._selector.register(ours, selectors.EVENT_READ, process)
        self._send(process, self._arguments)
        return process

    def _send(self, process: _Process, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # a dead worker is noticed when it is read from
            process.control.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self, process: _Process) -> list[Message]:
        try:
            received = process.control.recv(1 << 20)
        except ConnectionResetError:
            received = b""
        if not received:
            return self._bury(process)
        process.buffer += received
        *lines, rest = process.buffer.split(b"\n")
        process.buffer = bytearray(rest)
        found = (self._read(process, json.loads(line)) for line in lines)
        return [message for message in found if message is not None]

    def _read(self, process: _Process, message: dict[str, Any]) -> Message | None:
        if process.call is None:
            return None
        step = process.call.info.step
        if "telemetry" in message:
            return Measured(step, message["telemetry"]["kind"], message["telemetry"]["body"])
        if "progress" in message:
            return Progressed(step, **message["progress"])
        if process.ending is not None:
            return None
        ended = message["ended"]
        process.call = None
        failure = Failure(**ended["failure"]) if ended["failure"] else None
        return Ended(step, time.monotonic() - process.started, ended["outputs"], failure)

    def _bury(self, process: _Process) -> list[Message]:
        """What is to be said of a worker that has gone."""
        self._selector.unregister(process.control)
        process.control.close()
        self._processes.remove(process)
        try:
            code: int | None = process.popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = None
        _signal(process, signal.SIGKILL)  # what it started must go too
        process.popen.wait()
        if process.call is None:
            return []
        return [Ended(process.call.info.step, time.monotonic() - process.started, failure=_failure(process, code))]

    def _end(self, process: _Process, why: str) -> None:
        if process.ending is not None:  # asking again must not put off its end
            return
        process.ending = why
        process.kill_at = time.monotonic() + GRACE
        _signal(process, signal.SIGTERM)

    def _wait(self, seconds: float) -> float:
        """Not longer than until the next time limit."""
        now = time.monotonic()
        limits = [
            process.kill_at if process.ending else process.started + process.call.timeout
            for process in self._processes
            if process.call
        ]
        return max(0.0, min([seconds, *(limit - now for limit in limits)]))


def _failure(process: _Process, code: int | None) -> Failure:
    assert process.call is not None
    if process.ending == "timeout":
        message = f"it took longer than its time limit of {process.call.timeout:g} s and was ended"
        return Failure("timeout", message, "raise `timeout`, or give the step less to do")
    if process.ending == "cancelled":
        return Failure("cancelled", "it was cancelled")
    if code == -signal.SIGKILL:
        message = "its worker process was killed (signal 9): often the machine was out of memory"
        return Failure("worker-lost", message, "give the step less data or a machine with more memory", lost=True)
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Failure("worker-lost", f"its worker process ended with {how}", "see the step's log", lost=True)


def _signal(process: _Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.popen.pid, number)


def _tool(uses: str) -> str:
    return uses.partition(".")[0]
