"""Run a command in its own session, and leave no process of it when it ends or its engine ends.

Run as a file by ``python -I -S guardian.py LIFELINE HANDED COMMAND…`` with the standard library only. LIFELINE is the
number of an inherited pipe end, or empty for a service that stays. HANDED are the descriptors that the command
inherits, separated by commas. The guardian adopts every descendant of the command (Linux: as a subreaper). A server's
workers and the children of a step, in whatever session, therefore do not survive the process that started them.
Processes under another guardian are left to that one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE = 5.0
"""Seconds between asking a command to end and killing it."""
FREEZES = 50
"""Number of times that new processes of a fork bomb are searched for."""
LAST_WAIT = 2.0
"""Seconds without any change after which unkillable processes are left to the kernel."""


def main(lifeline: str, handed: str, command: list[str]) -> int:
    """Run the command until it ends, the lifeline ends, or SIGTERM, SIGHUP or SIGINT arrives; return its exit code.

    Then all of its descendants are ended, after SIGINT without asking. The exit code is 128 + number for a signal, as
    in shells.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    leave_no_core()
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    child = Child(command, [int(number) for number in handed.split(",") if number], keep=lifeline)
    watched = [woken, int(lifeline)] if lifeline else [woken]
    grace = GRACE
    while child.code is None:
        ready = readable(watched)
        numbers = set(os.read(woken, 512)) if woken in ready else {signal.SIGTERM}
        child.reap()
        if signal.SIGINT in numbers:
            grace = 0.0
        if numbers - {signal.SIGCHLD}:
            break
    end(child, woken, grace)
    return 128 + signal.SIGKILL if child.code is None else child.code


def readable(descriptors: list[int], seconds: float | None = None) -> list[int]:
    """Return those of the descriptors that can be read, or have ended; wait for the first. None: without a limit.

    ``select`` would not take a number above 1023, which a program with many open files hands down.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if seconds is None else 1000 * seconds)]


def leave_no_core() -> None:
    """Disable core dumps of this process and its children: their memory may contain secrets.

    A limit of 0 applies to files. Programs that receive dumps through a pipe get one without memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/coredump_filter", "w") as file:  # noqa: PTH123 - as below
            file.write("0")
    except OSError:  # not Linux, or a kernel without core dumps
        pass


class Child:
    """The command's process, and the reaping of all adopted processes."""

    def __init__(self, command: list[str], handed: list[int], *, keep: str) -> None:
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a guardian starts fast: pathlib alone would double it
            if int(name) > 2 and int(name) not in handed:
                try:
                    os.set_inheritable(int(name), False)
                except OSError:  # the listing's own descriptor
                    continue
        ignored = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores these signals; a command expects the default
        self.pid = os.posix_spawnp(command[0], command, os.environ, setsid=True, setsigdef=ignored)
        self.code: int | None = None
        self.alone = False
        """Return True when no child is left, by the kernel, which passes every orphan to this process."""
        for number in handed:  # so that the other end notices the command's exit
            if str(number) != keep:
                os.close(number)

    def reap(self) -> None:
        """Record the command's exit, and reap adopted zombies."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.alone = True
                return
            if pid == 0:
                return
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code


def end(child: Child, woken: int, grace: float) -> None:
    """Ask the command and its descendants to end; kill what remains when the command has ended, or after the grace.

    Returns when the kernel reports that no child is left. Only processes that did not change for a while after being
    killed are given up: a process that outlives this one has no other guardian.
    """
    until = time.monotonic() + grace
    given_up = until + LAST_WAIT
    asked = False
    before: set[int] = set()
    while not child.alone and time.monotonic() < given_up:
        remaining = descendants(os.getpid())
        if not remaining and child.code is not None and _only_guardians():
            break
        kill = child.code is not None or time.monotonic() >= until
        if kill:
            remaining = freeze(os.getpid(), remaining)
        if set(remaining) != before:
            before = set(remaining)
            given_up = max(until, time.monotonic()) + LAST_WAIT
        if kill or not asked:
            send(remaining, signal.SIGKILL if kill else signal.SIGTERM)
            asked = True
        readable([woken], 0.02)  # the end of a child interrupts the wait
        try:
            if signal.SIGINT in os.read(woken, 512):
                until = time.monotonic()
        except BlockingIOError:
            pass
        child.reap()


def _only_guardians() -> bool:
    """Return True when only guardians are below this process, twice in a row.

    A process whose parent ends while the list is read is missing from it.
    """
    pids = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as above
    ours = [int(name) for name in pids if _parent(int(name)) == os.getpid()]
    return any(_is_guardian(pid) for pid in ours) and not descendants(os.getpid())


def freeze(root: int, found: list[int]) -> list[int]:
    """Stop all processes below ``root`` until no new one appears, so that they cannot start others."""
    known: set[int] = set()
    for _ in range(FREEZES):
        new = set(found) - known
        if not new:
            break
        for pid in new:
            try:
                os.kill(pid, signal.SIGSTOP)
            except (ProcessLookupError, PermissionError):
                continue
        known |= new
        found = descendants(root)
    return list(known)


def send(pids: list[int], number: signal.Signals) -> None:
    """Send the signal to each process that still exists; stopped ones continue, so that they can end."""
    for pid in pids:
        for each in (number, signal.SIGCONT):
            try:
                os.kill(pid, each)
            except (ProcessLookupError, PermissionError):
                break


def descendants(root: int) -> list[int]:
    """Return the living processes below ``root``, from /proc, except those under another guardian.

    A zombie is not living, unless it has living threads.
    """
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        if name.isdigit():
            fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            if fields and (fields[0] != b"Z" or int(fields[17]) > 1):
                below.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(child for child in below.get(pid, []) if not _is_guardian(child))
    return found[1:]


def _parent(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _is_guardian(pid: int) -> bool:
    return os.fsencode(__file__) in _read(f"/proc/{pid}/cmdline").split(b"\0")[:4]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # it has just exited
        return b""


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))  # there is nothing to clean up, and a caller waits
