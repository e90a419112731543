"""Names of processes that no later process has, and whether the one of a name still runs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def process_identity(pid: int | None = None) -> str:
    """``pid:start:boot`` of a live process, or "" when there is none (a zombie is none). Told apart from a reused pid.

    Where /proc is missing, only the pid is known.
    """
    pid = os.getpid() if pid is None else pid
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() or not _answers(pid) else f"{pid}::"
    except ProcessLookupError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid}:{fields[18]}:{boot_id()}"


@cache
def boot_id() -> str:
    """What tells this start of the machine from another; "" where /proc is missing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def process_alive(identity: str) -> bool:
    """True while the process of that identity (anything after a ``#`` aside) runs on this machine."""
    identity = identity.partition("#")[0]
    pid = identity.partition(":")[0]
    return pid.isdigit() and process_identity(int(pid)) == identity


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
