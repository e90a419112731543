"""Remove segments of shared memory that no process uses any more. In: their names.

A killed process leaves its segments in /dev/shm, where they use memory until the machine is restarted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

FOLDER = "/dev/shm"


def segments() -> frozenset[str]:
    """Return the names of all segments. Folders are left out: they contain other files."""
    try:
        with os.scandir(FOLDER) as entries:
            return frozenset(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
    except OSError:
        return frozenset()


class Seen:
    """The segments at the last look: read again only when the folder has changed."""

    def __init__(self) -> None:
        self._changed = -1
        self._names: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """Return the names of all segments; one created within milliseconds of another may be missing."""
        try:
            changed = os.stat(FOLDER).st_mtime_ns  # noqa: PTH116 - twice a call
        except OSError:
            return frozenset()
        if changed != self._changed:
            self._changed, self._names = changed, segments()
        return self._names


def remove(names: Collection[str]) -> None:
    """Remove those of the segments that are ours and that no living process has open or mapped."""
    own = [name for name in sorted(names) if is_ours(name)]
    if not own:
        return
    held = _held()
    for name in own:
        path = Path(FOLDER, name)
        with contextlib.suppress(OSError):
            if path.lstat().st_ino not in held:
                path.unlink()


def is_ours(name: str) -> bool:
    """Return True when the segment exists and belongs to this user."""
    try:
        found = Path(FOLDER, name).lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid()


def are_left(names: Collection[str]) -> bool:
    """Return True when one of the segments is ours and no process of another session holds it."""
    own = [name for name in names if is_ours(name)]
    if not own:
        return False
    held = _held(but=os.getsid(0))
    for name in own:
        with contextlib.suppress(OSError):  # it is gone
            if Path(FOLDER, name).lstat().st_ino not in held:
                return True
    return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _held(but: int | None = None) -> set[int]:
    """Return the inodes that readable processes of this machine have mapped or open below the folder.

    By inode, not by name: a semaphore is mapped under another name than its own. Processes of the session ``but`` are
    left out.
    """
    found: set[int] = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or (but is not None and _session(int(process.name)) == but):
            continue
        # Open files first: a file is opened, then mapped, then closed.
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):  # it has just been closed
                    if os.readlink(descriptor).startswith(FOLDER):  # noqa: PTH115 - a pipe's name is no path
                        found.add(descriptor.stat().st_ino)
        with contextlib.suppress(OSError):
            lines = (process / "maps").read_bytes().splitlines()
            found.update(int(line.split(maxsplit=5)[4]) for line in lines if os.fsencode(FOLDER) in line)
    return found
