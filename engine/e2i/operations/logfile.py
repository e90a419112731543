"""Append lines to a log that several processes write, and rotate it: ``FILE``, ``FILE.1``, ``FILE.2`` and so on.

In: a path and lines. Out: each line is whole in one of the files. A lock of ``FILE.lock`` excludes others only while a
line is appended. A process that is stopped with the lock delays nobody for long: then lines are appended without it,
and nobody rotates.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 0.5
"""Seconds that a writer waits for the lock."""
TURN = 0.002
"""Seconds between two tries for the lock."""
MODE = 0o600


class LogFile:
    """The log of a store, opened for each line: another process may have rotated it."""

    def __init__(self, path: Path, *, most: int, keep: int) -> None:
        """``most``: bytes above which the file is rotated. ``keep``: number of rotated files."""
        self._path = path
        self._most = most
        self._keep = keep

    def append(self, line: str) -> None:
        """Appends one line. Raises OSError."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._locked() as alone:
            handle = self._open()
            try:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(errno.EINVAL, "it is not a regular file", str(self._path))
                if alone and found.st_size and found.st_size + len(data) > self._most:
                    self._rotate()
                    os.close(handle)
                    handle = self._open()
                    os.fchmod(handle, stat.S_IMODE(found.st_mode))  # whoever may read the log may read the next one
                os.write(handle, data)  # one call: appended as a whole
            finally:
                os.close(handle)

    def _open(self) -> int:
        return os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, MODE
        )

    def _rotate(self) -> None:
        """Renames the files, oldest first. Without kept ones the file is removed."""
        if not self._keep:
            self._path.unlink()
            return
        for number in range(self._keep, 0, -1):
            source = self._numbered(number - 1)
            if number == 1 or source.exists():
                source.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Yields whether the lock was acquired. It is released when its process exits."""
        name = self._path.with_name(f"{self._path.name}.lock")
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        try:
            ends = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > ends:
                        yield False
                        return
                    time.sleep(TURN)
                else:
                    yield True
                    return
        finally:
            os.close(lock)
