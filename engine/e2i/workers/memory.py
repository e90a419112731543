"""Measure the memory use of processes. In: process ids, /proc. Out: bytes.

Memory mapped from files (tables, libraries) does not count: the kernel reclaims it when it needs memory.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from e2i.workers import guardian

_COUNTED = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
_COUNTED_EXACTLY = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
_FIRST_VERSION = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
"""Location of a group's limit in version 1 of control groups; version 2 has one tree."""


def give_back() -> None:
    """Return freed memory that Arrow and the C library have kept to the kernel, where this is supported."""
    if (arrow := sys.modules.get("pyarrow")) is not None:  # not imported only for this
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others do not
    if trim is not None:
        trim(0)


def machine() -> int:
    """Return the memory limit of all processes of this machine together, or of our control group."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _read("/proc/self/cgroup").decode().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            top, name = ("/sys/fs/cgroup", "memory.max") if not controllers else _FIRST_VERSION
            for folder in (group, *map(str, Path(group).parents)):
                text = _read(f"{top}{folder}/{name}").strip()
                if text.isdigit():  # "max" is no limit
                    found.append(int(text))
    return min(found)


def tree(root: int) -> list[int]:
    """Return the process and all its descendants."""
    if not Path(f"/proc/{root}/task/{root}/children").exists():  # a kernel without this file, or no such process
        return [root, *guardian.descendants(root)]
    found = [root]
    for pid in found:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - looked at several times a second
        except OSError:
            continue
        for task in tasks:
            found.extend(map(int, _read(f"/proc/{pid}/task/{task}/children").split()))
    return found


def held(pids: Iterable[int]) -> int:
    """Return an upper bound of the processes' memory: pages shared after a fork count for each."""
    return sum(_sum(f"/proc/{pid}/status", _COUNTED) for pid in pids)


def held_exactly(pids: Iterable[int]) -> int:
    """Return the processes' memory, with shared pages divided among their users. Takes milliseconds."""
    return sum(_sum(f"/proc/{pid}/smaps_rollup", _COUNTED_EXACTLY) for pid in pids)


def kills() -> int:
    """Return how many processes the kernel has killed because it was out of memory, here or in a group, since boot."""
    for line in _read("/proc/vmstat").splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0


def _sum(path: str, names: tuple[bytes, ...]) -> int:
    """Return the sum of lines like ``VmSwap:  12 kB`` in bytes; 0 for a process that has exited."""
    return 1024 * sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
