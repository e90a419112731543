"""Who uses a store: runs hold a lock on it together, and a collection knows whether it is alone.

In: the store's folder. Out: a context, within which the lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from e2i.store.database import FILE, store_error


@contextlib.contextmanager
def in_use(root: Path) -> Iterator[None]:
    """While it is open, a collection takes nothing that a plan made in here may count on. Raises StoreError."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(root, fcntl.LOCK_SH))
        except OSError as error:
            raise store_error(error, root / FILE) from error
        yield


@contextlib.contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Whether nobody uses the store; if so, nobody begins to while it is open. Raises OSError."""
    with _lock(root, fcntl.LOCK_EX | fcntl.LOCK_NB) as got:
        yield got


@contextlib.contextmanager
def _lock(root: Path, how: int) -> Iterator[bool]:
    """Whether the lock was to be had at once, or, for a shared one, at all."""
    handle = os.open(root / "runs.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
