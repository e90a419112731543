"""Lock between processes and threads of one machine. In: a file. Out: an exclusive block."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2i.regular import open_private


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Waits for the lock. It is released when its process exits."""
    handle = open_private(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
