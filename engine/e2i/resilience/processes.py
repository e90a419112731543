"""Identify processes uniquely over time, and check that a process still runs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def process_identity(pid: int | None = None) -> str:
    """Returns ``pid:start:boot`` of a live process, or "" when there is none (a zombie is none).

    The start distinguishes it from a reused pid. Without /proc, only the pid is known.
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
    """Returns the id of the machine's boot; "" where /proc is missing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def process_alive(identity: str) -> bool:
    """Returns True while the process of that identity (without the text after a ``#``) runs on this machine."""
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
