"""A command goes in and is run in a group of its own; when the engine's lifeline ends, nothing of it is left.

Run as a file by ``python -I -S guardian.py LIFELINE COMMAND…`` with the standard library only. LIFELINE is the number
of an inherited pipe end, or empty for a service that is to stay. It adopts every descendant of the command (Linux: as
a subreaper), so that a server's workers do not survive their supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE = 5.0
"""Seconds between asking a service to end and killing it."""


def main(lifeline: str, command: list[str]) -> int:
    """Runs the command until it ends, the lifeline ends, or SIGTERM or SIGINT comes; then ends all of its
    descendants.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, start_new_session=True, close_fds=True)
    watched = [woken, int(lifeline)] if lifeline else [woken]
    while child.poll() is None:
        ready, _, _ = select.select(watched, [], [])
        if woken not in ready:
            break
        if any(number != signal.SIGCHLD for number in os.read(woken, 512)):
            break
    end(child)
    return child.returncode


def end(child: subprocess.Popen[bytes]) -> None:
    """Asks the command and all it started to end; kills what is left after the grace; reaps everything."""
    until = time.monotonic() + GRACE
    number = signal.SIGTERM
    while remaining := descendants(os.getpid()):
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while time.monotonic() < until and child.poll() is None:
            time.sleep(0.02)
        child.poll()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() >= until:
            number = signal.SIGKILL
        time.sleep(0.02)


def descendants(root: int) -> list[int]:
    """The living processes below ``root``, from /proc; a zombie is not living."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - the guardian starts fast: pathlib alone would double that
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            parents[int(name)] = int(fields[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found[1:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
