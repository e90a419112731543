"""Tell whether a file was replaced or written, without reading it. In: a file. Out: its state."""

from __future__ import annotations

import time
from pathlib import Path

FileState = tuple[int, int, int, int]
UNSETTLED = 2_000_000_000
"""Nanoseconds after a change in which the next one may leave the same time, as file systems round times."""


def state(file: Path) -> FileState | None:
    """Return what differs after a change; None when there is no file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def settled(file: Path) -> FileState | None:
    """Return the state of a file that was not changed just now, so that equal states are equal content; else None."""
    found = state(file)
    return found if found is not None and time.time_ns() - max(found[1], found[2]) > UNSETTLED else None
