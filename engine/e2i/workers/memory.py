"""What processes hold of this machine's memory. In: process ids, /proc. Out: bytes.

What is mapped from files (tables, libraries) does not count: the kernel takes it back when it needs room.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from e2i.workers import guardian

_COUNTED = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
_COUNTED_EXACTLY = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
_FIRST_VERSION = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
"""Where version 1 of control groups has a group's limit; version 2 has all in one tree."""


def give_back() -> None:
    """Gives the kernel what this process has freed and the C library has kept, where that can be asked for."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others do not
    if trim is not None:
        trim(0)


def machine() -> int:
    """The memory that this machine has for all processes together, or the group of processes that we are in."""
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
    """The process and all below it."""
    if not Path(f"/proc/{root}/task/{root}/children").exists():  # a kernel without it, or no such process
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
    """An upper bound of what the processes hold together: what they share after a fork counts for each."""
    return sum(_sum(f"/proc/{pid}/status", _COUNTED) for pid in pids)


def held_exactly(pids: Iterable[int]) -> int:
    """What the processes hold together, what they share divided among those that share it. Takes milliseconds."""
    return sum(_sum(f"/proc/{pid}/smaps_rollup", _COUNTED_EXACTLY) for pid in pids)


def kills() -> int:
    """How many processes the kernel has killed for want of memory, here or in a group, since the machine started."""
    for line in _read("/proc/vmstat").splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0


def _sum(path: str, names: tuple[bytes, ...]) -> int:
    """The sum of some lines of a file such as ``VmSwap:  12 kB``, in bytes; 0 for a process that has gone."""
    return 1024 * sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
