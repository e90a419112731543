"""Lock a store for use: runs share a lock, so a collection knows whether the store is unused.

In: the store's folder. Out: a context that holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from e2i.regular import open_private
from e2i.store.database import FILE, store_error


@contextlib.contextmanager
def in_use(root: Path) -> Iterator[None]:
    """Protects what a plan made inside may rely on from collections. Raises StoreError."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(root, fcntl.LOCK_SH))
        except OSError as error:
            raise store_error(error, root / FILE) from error
        yield


@contextlib.contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Yields whether nobody uses the store. If so, nobody can start to while the context is open. Raises OSError."""
    with _lock(root, fcntl.LOCK_EX | fcntl.LOCK_NB) as got:
        yield got


@contextlib.contextmanager
def _lock(root: Path, how: int) -> Iterator[bool]:
    """Yields whether the lock was acquired; waits only for a shared lock."""
    handle = open_private(root / "runs.lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
