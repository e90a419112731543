"""One worker process as the engine sees it: messages go in and come out, and it can be ended for sure.

It stands under a guardian, so that whatever a step starts, in whatever session, is ended with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from e2i.store import disk
from e2i.workers import guardian, launch, memory, shared_memory, steplog
from e2i.workers.claims import Claims
from e2i.workers.executor import StepCall

FORCE_AFTER = guardian.GRACE + 0.5
"""Seconds after which the engine itself kills what the guardian, which has been stopped perhaps, did not."""
ABANDON_AFTER = guardian.GRACE + guardian.LAST_WAIT
"""Seconds after which a process that cannot be killed is given up."""
FORCES = 5
"""How often what is below a guardian is killed at a time."""
REMEMBERED = 64
"""Digests of data that a worker is thought to hold still."""
BRIEF = 0.01
"""Seconds for which a worker is given calls ahead: it need not wait while the engine makes ends durable, and one
commit serves many. They are taken back when one call takes longer.
"""
AHEAD = 15
"""Calls that a worker is given ahead at most."""

_encode = json.JSONEncoder(separators=(",", ":")).encode
_CALL = (
    *("uses", "params", "seed", "threads", "fingerprint", "files", "memory", "known", "log"),
    *("secrets", "scanned", "gone_after", "environ"),
)
_INFO = ("run", "pipeline", "step", "attempt", "agent", "started_ms")


class WorkerProcess(Struct, eq=False):
    """A worker, the call that it carries out, and what is known of its memory. Times are those of a monotonic clock."""

    popen: subprocess.Popen[bytes]
    """Its guardian."""
    control: socket.socket
    claims: Claims
    """Those of the calls that it was given ahead."""
    pid: int | None = None
    """Its own process, once it has said so."""
    tools: list[str] = field(default_factory=list)
    """Tools that it has imported, latest last."""
    preparing: bool = False
    """Whether it is importing ahead: a call would have to wait."""
    digests: dict[str, None] = field(default_factory=dict)
    """Data that it was given or has made, latest last."""
    calls: deque[StepCall] = field(default_factory=deque)
    """The call that it carries out, and those that it was given ahead."""
    unsettled: int = 0
    """How many calls it has to end until it has read past all that were taken back. Till then none is given ahead, or
    it would take out the ticket of one while it looks for those of the others.
    """
    pace: float = math.inf
    """Seconds that its last call took."""
    cores: tuple[int, ...] = ()
    """The only cores that the call may use; none: all."""
    started: float = 0.0
    deadline: float = 0.0
    held: int = 0
    """Bytes that it held between two calls."""
    peak: int = 0
    """The most bytes that the call was seen to hold beyond that."""
    count: int = 0
    """The most processes that the call was seen to have."""
    cut: bool = False
    """Whether the call's log was cut."""
    ending: str | None = None
    """Why it is being ended: the code of the failure to report."""
    asked: float = 0.0
    """When it was asked to end."""
    shown: bool = False
    """Whether the call's log is there while it runs."""
    shared: frozenset[str] = frozenset()
    """Segments of shared memory that were there before the call."""
    _seen: shared_memory.Seen = field(default_factory=shared_memory.Seen)
    _buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(
        cls, lifeline: int, guardians: int, *, log: Path, environ: Mapping[str, str], workspace: Path
    ) -> WorkerProcess:
        """Starts one. ``lifeline`` and ``guardians`` are those of ``e2i.workers.services.Lifelines``.

        Raises DiskTrouble when the store or the workspace is no longer there.
        """
        ours, theirs = socket.socketpair()
        claims = Claims()
        handed = (theirs.fileno(), claims.taker, lifeline, guardians)
        command = launch.command("e2i.workers.worker", *map(str, handed))
        watch = [sys.executable, "-I", "-S", guardian.__file__, str(lifeline), ",".join(map(str, handed))]
        try:
            with log.open("ab") as output, theirs:
                popen = subprocess.Popen(
                    [*watch, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environ),
                    cwd=workspace,
                    pass_fds=handed,
                    start_new_session=True,
                )
        except FileNotFoundError:
            disk.expect(log.parent, workspace)
            raise
        return cls(popen, ours, claims)

    @property
    def call(self) -> StepCall | None:
        """What it carries out."""
        return self.calls[0] if self.calls else None

    @property
    def idle(self) -> bool:
        return not self.calls and self.ending is None

    def prefetch_capacity(self, now: float) -> int:
        """How many calls it can be given ahead: as many as may be over in no time, none while one takes longer."""
        lasts = self.preparing or now > self.started + BRIEF
        if not self.calls or self.ending is not None or self.unsettled or lasts:
            return 0
        return max(0, min(AHEAD, int(BRIEF / max(self.pace, BRIEF / AHEAD))) + 1 - len(self.calls))

    def take(self, call: StepCall, cores: tuple[int, ...]) -> None:
        """Hands it a call, ahead if it has one."""
        info = {name: getattr(call.info, name) for name in _INFO}
        message: dict[str, Any] = {
            "call": {**{name: getattr(call, name) for name in _CALL}, "info": info, "cores": cores}
        }
        if self.calls:
            message["ticket"] = self.claims.give()
        self.calls.append(call)
        if len(self.calls) == 1:
            self.cores = cores
            self.shared = self._seen.names()
            self._begin(call)
        self.send(message)

    def end_call(self, seconds: float) -> None:
        """It has ended its call, and is about the next if it was given one."""
        self.calls.popleft()
        self.unsettled = max(0, self.unsettled - 1)
        self.pace = seconds
        if self.calls:
            self._begin(self.calls[0])

    def take_back(self) -> list[StepCall]:
        """Takes back those calls that it has not begun. What it has then is what it carries out; if there is more than
        one call, it has ended the first and says so any moment.
        """
        back = [self.calls.pop() for _ in range(self.claims.take_back())][::-1]
        if back:
            self.unsettled = len(self.calls) + 1
        return back

    def send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed when it is read from
            self.control.sendall(_encode(message).encode() + b"\n")

    def receive(self) -> Iterator[dict[str, Any]] | None:
        """The messages that have come; None when it has gone."""
        try:
            received = self.control.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        if not received:
            return None
        if b"\n" not in received:
            self._buffer += received
            return iter(())
        *lines, rest = received.split(b"\n")
        lines[0] = bytes(self._buffer) + lines[0]
        self._buffer = bytearray(rest)
        return map(json.loads, lines)

    def learn(self, tool: str, digests: Iterator[str]) -> None:
        """It is about to use that tool and this data."""
        if self.tools[-1:] != [tool]:
            self.tools = [known for known in self.tools if known != tool] + [tool]
        self.remember(digests)

    def remember(self, digests: Iterator[str]) -> None:
        """It has seen this data last."""
        for digest in digests:
            self.digests.pop(digest, None)
            self.digests[digest] = None
        while len(self.digests) > REMEMBERED:
            del self.digests[next(iter(self.digests))]

    def look(self, limit: int) -> int:
        """Bytes that the call holds now beyond what its worker held before; exact when it is more than the limit.

        Also counts its processes.
        """
        processes = memory.tree(self.pid or self.popen.pid)
        self.count = max(self.count, len(processes))
        found = memory.held(processes) - self.held
        if found > limit:
            found = memory.held_exactly(processes) - self.held
        self.peak = max(self.peak, found)
        return found

    def end(self, why: str, *, at_once: bool = False) -> None:
        """Asks it to end. The guardian sees to it, within its grace unless ``at_once``."""
        if self.ending is None:  # asking again must not put off its end
            self.ending = why
            self.asked = time.monotonic()
            self._signal(signal.SIGINT if at_once else signal.SIGTERM)
        elif at_once:
            self._signal(signal.SIGINT)

    def retire(self) -> None:
        """It gets no more calls, and ends by itself."""
        self.ending = "retired"
        self.asked = time.monotonic()
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def force(self) -> list[int]:
        """Kills all below its guardian, whatever that does, and the guardian once nothing is left; returns what is.

        While the guardian is there, nothing below it gets away: whatever loses its parent comes to it.
        """
        left = guardian.descendants(self.popen.pid)
        for _ in range(FORCES):
            if not left:
                guardian.send([self.popen.pid], signal.SIGKILL)
                break
            guardian.send(guardian.freeze(self.popen.pid, left), signal.SIGKILL)
            time.sleep(BRIEF)
            left = guardian.descendants(self.popen.pid) or guardian.descendants(self.popen.pid)
        return left

    def unkillable(self) -> list[int]:
        """What is left of it."""
        return [pid for pid in guardian.descendants(self.popen.pid) if pid != self.popen.pid] or (
            [self.pid] if self.pid and Path(f"/proc/{self.pid}").exists() else []
        )

    def show_log(self, store: Path) -> None:
        """Makes what the call has printed, and will print, its step's log."""
        if self.call is not None and self.pid is not None and not self.shown:
            info = self.call.info
            with contextlib.suppress(OSError, disk.DiskTrouble):  # it has one already, or none can be had now
                steplog.publish(
                    steplog.draft_of(store, info.run, self.pid), steplog.path_of(store, info.run, info.step)
                )
                self.shown = True

    def trim_log(self, store: Path) -> None:
        """Cuts what the call has printed so far when that is too much: the disk is not to be filled by it."""
        if self.call is not None and self.pid is not None:
            info, most = self.call.info, self.call.log
            logs = steplog.draft_of(store, info.run, self.pid), steplog.path_of(store, info.run, info.step)
            self.cut |= any(steplog.trim(log, most) for log in logs)

    def reap(self, store: Path) -> int | None:
        """Waits for the end of a worker that has closed its socket. Its exit code, 128 + number for a signal; None if
        its guardian does not end.
        """
        self.control.close()
        self.claims.close()
        code = self._last_code()
        shared_memory.remove(shared_memory.segments() - self.shared)
        self._keep_log(store)
        return 128 - code if code is not None and code < 0 else code

    def _last_code(self) -> int | None:
        """Waits for the guardian; helps it as long as that changes anything, and then ends it too."""
        before: list[int] | None = None
        while True:
            try:
                code = self.popen.wait(guardian.LAST_WAIT)
            except subprocess.TimeoutExpired:
                left = self.force()
                if left == before:  # the kernel holds them
                    guardian.send([self.popen.pid], signal.SIGKILL)
                    return None
                before = left
            else:
                return code if before is None else None

    def _keep_log(self, store: Path) -> None:
        """What its last call has printed stays."""
        if self.call is None or self.pid is None:
            return
        info = self.call.info
        draft = steplog.draft_of(store, info.run, self.pid)
        with contextlib.suppress(OSError, disk.DiskTrouble):
            if draft.stat().st_size > 0:
                steplog.keep(draft, log := steplog.path_of(store, info.run, info.step))
                self.cut |= steplog.trim(log, self.call.log, over=True)

    def _begin(self, call: StepCall) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + call.timeout
        self.peak = self.count = 0
        self.cut = False
        self.shown = False

    def _signal(self, number: signal.Signals) -> None:
        for each in (number, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.popen.pid, each)
