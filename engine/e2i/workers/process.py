"""The engine's side of one worker process: sends and receives messages, and can end the process reliably.

The worker runs under a guardian, so everything that a step starts, in whatever session, ends with it.
"""

from __future__ import annotations

import contextlib
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

from msgspec import Struct, field

from e2i.store import disk
from e2i.workers import guardian, launch, memory, shared_memory, steplog
from e2i.workers.claims import Claims
from e2i.workers.executor import StepCall
from e2i.workers.messages import Execute, Order, Report, Start, encode, report

FORCE_AFTER = guardian.GRACE + 0.5
"""Seconds after which the engine itself kills processes that the guardian, perhaps stopped, did not."""
ABANDON_AFTER = guardian.GRACE + guardian.LAST_WAIT
"""Seconds after which a process that cannot be killed is given up."""
FORCES = 5
"""Number of rounds of killing the processes below a guardian."""
REMEMBERED = 64
"""Number of digests of data that a worker is assumed to have in memory."""
BRIEF = 0.01
"""Total duration of prefetched calls, in seconds.

With them, a worker does not wait while the engine commits results, and one commit covers many. They are taken back when
one call takes longer.
"""
AHEAD = 15
"""Maximum number of prefetched calls of a worker."""


class WorkerProcess(Struct, eq=False):
    """A worker, the call that it executes, and its known memory use. Times are those of a monotonic clock."""

    popen: subprocess.Popen[bytes]
    """Its guardian."""
    control: socket.socket
    claims: Claims
    """Claims on its prefetched calls."""
    pid: int | None = None
    """Its own process id, once it has reported it."""
    tools: list[str] = field(default_factory=list)
    """Tools that it has imported, latest last."""
    preparing: bool = False
    """True while it preloads imports: a call would have to wait."""
    digests: dict[str, None] = field(default_factory=dict)
    """Data that it received or produced, latest last."""
    calls: deque[StepCall] = field(default_factory=deque)
    """The call that it executes, and its prefetched calls."""
    unsettled: int = 0
    """Number of calls that it must end before it has read past all calls taken back.

    Until then it gets no prefetched calls, because it would read the claim of one while it searches for the others'.
    """
    pace: float = math.inf
    """Duration of its last call in seconds."""
    cores: tuple[int, ...] = ()
    """The only cores that the call may use; none: all."""
    started: float = 0.0
    deadline: float = 0.0
    held: int = 0
    """Memory that it used between two calls, in bytes."""
    peak: int = 0
    """Peak memory of the call beyond that, in bytes."""
    count: int = 0
    """Peak number of processes of the call."""
    cut: bool = False
    """True when the call's log was cut."""
    ending: str | None = None
    """Why it is being ended: the code of the failure to report."""
    asked: float = 0.0
    """When it was asked to end."""
    shown: bool = False
    """True when the call's log exists while it runs."""
    shared: frozenset[str] = frozenset()
    """Segments of shared memory that existed before the call."""
    _seen: shared_memory.Seen = field(default_factory=shared_memory.Seen)
    _buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(
        cls, lifeline: int, guardians: int, *, log: Path, environ: Mapping[str, str], workspace: Path
    ) -> WorkerProcess:
        """Start a worker. ``lifeline`` and ``guardians`` are those of ``e2i.workers.services.Lifelines``.

        Raises DiskTrouble when the store or the workspace no longer exists.
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
        """Return the call that it executes."""
        return self.calls[0] if self.calls else None

    @property
    def idle(self) -> bool:
        return not self.calls and self.ending is None

    def prefetch_capacity(self, now: float) -> int:
        """Return how many calls it can prefetch: several short ones, none while one takes longer."""
        lasts = self.preparing or now > self.started + BRIEF
        if not self.calls or self.ending is not None or self.unsettled or lasts:
            return 0
        return max(0, min(AHEAD, int(BRIEF / max(self.pace, BRIEF / AHEAD))) + 1 - len(self.calls))

    def take(self, call: StepCall, cores: tuple[int, ...]) -> None:
        """Send it a call, as a prefetched call if it is busy."""
        claim = self.claims.give() if self.calls else None
        self.calls.append(call)
        if len(self.calls) == 1:
            self.cores = cores
            self.shared = self._seen.names()
            self._begin(call)
        self.send(Execute(call, cores, claim))

    def end_call(self, seconds: float) -> None:
        """Record the end of its call; the next prefetched call begins."""
        self.calls.popleft()
        self.unsettled = max(0, self.unsettled - 1)
        self.pace = seconds
        if self.calls:
            self._begin(self.calls[0])

    def take_back(self) -> list[StepCall]:
        """Take back the calls that it has not begun.

        What remains is the call that it executes. If more than one remains, it has ended the first and will report that
        in a moment.
        """
        back = [self.calls.pop() for _ in range(self.claims.take_back())][::-1]
        if back:
            self.unsettled = len(self.calls) + 1
        return back

    def send(self, message: Start | Order) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed when its socket is read
            self.control.sendall(encode(message).encode() + b"\n")

    def receive(self) -> Iterator[Report] | None:
        """Return the received messages; None when it has exited."""
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
        return map(report, lines)

    def learn(self, tool: str, digests: Iterator[str]) -> None:
        """Record that it is about to use that tool and this data."""
        if self.tools[-1:] != [tool]:
            self.tools = [known for known in self.tools if known != tool] + [tool]
        self.remember(digests)

    def remember(self, digests: Iterator[str]) -> None:
        """Record the data that it used last."""
        for digest in digests:
            self.digests.pop(digest, None)
            self.digests[digest] = None
        while len(self.digests) > REMEMBERED:
            del self.digests[next(iter(self.digests))]

    def look(self, limit: int) -> int:
        """Return the call's memory in bytes beyond what its worker used before; exact when above the limit.

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
        """Ask it to end. The guardian ends it within its grace, unless ``at_once``."""
        if self.ending is None:  # asking again must not postpone its end
            self.ending = why
            self.asked = time.monotonic()
            self._signal(signal.SIGINT if at_once else signal.SIGTERM)
        elif at_once:
            self._signal(signal.SIGINT)

    def retire(self) -> None:
        """Send it no more calls, so that it ends by itself."""
        self.ending = "retired"
        self.asked = time.monotonic()
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def force(self) -> list[int]:
        """Kill all processes below its guardian, then the guardian once none is left; return the remaining ones.

        While the guardian lives, no process below it escapes: orphans become its children.
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
        """Return its remaining processes."""
        return [pid for pid in guardian.descendants(self.popen.pid) if pid != self.popen.pid] or (
            [self.pid] if self.pid and Path(f"/proc/{self.pid}").exists() else []
        )

    def show_log(self, store: Path) -> None:
        """Make the output of the call, so far and from now on, its step's log."""
        if self.call is not None and self.pid is not None and not self.shown:
            info = self.call.info
            with contextlib.suppress(OSError, disk.DiskTrouble):  # it has a log already, or none can be created now
                steplog.publish(
                    steplog.draft_of(store, info.run, self.pid), steplog.path_of(store, info.run, info.step)
                )
                self.shown = True

    def trim_log(self, store: Path) -> None:
        """Cut the call's output so far when it is too large, so that it does not fill the disk."""
        if self.call is not None and self.pid is not None:
            info, most = self.call.info, self.call.log
            logs = steplog.draft_of(store, info.run, self.pid), steplog.path_of(store, info.run, info.step)
            self.cut |= any(steplog.trim(log, most) for log in logs)

    def reap(self, store: Path) -> int | None:
        """Wait for the end of a worker that has closed its socket.

        Returns its exit code, 128 + number for a signal; None if its guardian does not end.
        """
        self.control.close()
        self.claims.close()
        code = self._last_code()
        shared_memory.remove(shared_memory.segments() - self.shared)
        self._keep_log(store)
        return 128 - code if code is not None and code < 0 else code

    def _last_code(self) -> int | None:
        """Wait for the guardian; kill below it as long as that changes anything, and then end it too."""
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
        """Keep the output of its last call."""
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
