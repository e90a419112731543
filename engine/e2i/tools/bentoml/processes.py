"""Start and end the processes of an endpoint on this machine. In: its folder. Out: a router, or no process.

Every process of an endpoint holds the locked file ``alive``: the lock tells whether any exists, and who has the file
open tells which.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from e2i.errors import ToolUnavailable
from e2i.regular import file_mode, open_private
from e2i.tools.bentoml import records

ENDS_WITHIN = 50.0
"""Seconds after which the processes of an endpoint that is to end are killed: the requests under way, and a margin."""
HANDED = 3
"""Number of the descriptor of the lock in the router."""
Lasting = Callable[[Sequence[str], int], Sequence[str]]
"""Returns the command that runs a command so that it outlives its caller, and inherits a descriptor."""


def ensure_router(folder: Path, environ: Mapping[str, str], lasting: Lasting | None = None) -> None:
    """Start a router, unless a process of the endpoint exists. Only one can hold the lock that it inherits.

    ``lasting`` is for processes whose children are ended with them, such as workers of a run.
    """
    lock = open_private(folder / records.ALIVE, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        from e2i.tools.bentoml import __file__ as package

        records.shorten_logs(folder)
        router = str(Path(package).with_name("router.py"))
        command = [sys.executable, "-P", "-s", router, str(folder.resolve()), str(HANDED)]
        _spawn(command if lasting is None else lasting(command, HANDED), environ, folder / records.LOG, lock)
    finally:
        os.close(lock)


def _spawn(command: Sequence[str], environ: Mapping[str, str], log: Path, lock: int) -> None:
    """Start the command in a session of its own, with the lock as ``HANDED``. It outlives this process."""
    os.posix_spawn(
        command[0],
        list(command),
        dict(environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, file_mode(log.parent)),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, lock, HANDED),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP),
    )


def end(alive: Path) -> None:
    """Wait until no process of the endpoint exists; after ``ENDS_WITHIN``, or without a router, kill what is left."""
    lock = open_private(alive, os.O_RDWR | os.O_CREAT)
    try:
        seen: set[int] = set()
        asked = time.monotonic()
        while not _is_free(lock):
            found = holders(alive) - {os.getpid()}
            seen |= found
            if time.monotonic() - asked > ENDS_WITHIN:
                _send(found, signal.SIGKILL)
                if time.monotonic() - asked > ENDS_WITHIN + 10:
                    raise ToolUnavailable(
                        "bentoml", f"processes {sorted(found)} of the endpoint do not end", hint="see their state"
                    )
            _reap(seen)
            time.sleep(0.02)
        _reap(seen)
    finally:
        os.close(lock)


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(alive: Path) -> set[int]:
    """Return the processes that have the file open: those of the endpoint, whatever ids they have."""
    found = set()
    try:
        known = alive.stat()
    except FileNotFoundError:
        return set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, known):
            found.add(int(process.name))
    return found


def _holds(process: Path, known: os.stat_result) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                has = descriptor.stat()
                if (has.st_dev, has.st_ino) == (known.st_dev, known.st_ino):
                    return True
    except OSError:  # it has just ended, or belongs to another user
        return False
    return False


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap(pids: Iterable[int]) -> None:
    """Collect the exit codes of those that are this process's children."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
