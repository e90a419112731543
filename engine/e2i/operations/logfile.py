"""Append lines to a log that several processes write, and rotate it: ``FILE``, ``FILE.1``, ``FILE.2`` and so on.

In: a path and lines. Out: each line is whole in one of the files. A lock of ``FILE.lock`` excludes others only while a
line is appended. A process that is stopped with the lock delays nobody for long: then lines are appended without it,
and nobody rotates.
"""

from __future__ import annotations

import contextlib
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
    """The log of a store. It stays open until another process has rotated it."""

    def __init__(self, path: Path, *, most: int, keep: int) -> None:
        """``most``: bytes above which the file is rotated. ``keep``: number of rotated files."""
        self._path = path
        self._most = most
        self._keep = keep
        self._process = os.getpid()
        self._log = self._lock = -1
        """Descriptors, once they are opened."""

    def append(self, line: str) -> None:
        """Appends one line. Raises OSError."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._locked() as alone:
            found = self._open()
            if alone and found.st_size and found.st_size + len(data) > self._most:
                self._rotate()
                self._open()
                os.fchmod(self._log, stat.S_IMODE(found.st_mode))  # the next log has the readers of this one
            os.write(self._log, data)  # one call: appended as a whole

    def close(self) -> None:
        """Closes the files; the next line opens them again."""
        for handle in (self._log, self._lock):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self._log = self._lock = -1

    def __del__(self) -> None:
        self.close()

    def _open(self) -> os.stat_result:
        """Opens the file of the path, unless it is open. Returns its state."""
        if self._log >= 0:
            found = os.fstat(self._log)
            with contextlib.suppress(FileNotFoundError):
                named = self._path.lstat()
                if (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino):
                    return found
            os.close(self._log)
            self._log = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
        self._log = _opened(self._path, flags)
        found = os.fstat(self._log)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(self._path))
        return found

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
        if self._process != os.getpid():  # a forked process would share the lock of its parent
            self.close()
            self._process = os.getpid()
        if self._lock < 0:
            name = self._path.with_name(f"{self._path.name}.lock")
            self._lock = _opened(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW)
        got, ends = self._try(), time.monotonic() + PATIENCE
        while not got and time.monotonic() < ends:
            time.sleep(TURN)
            got = self._try()
        try:
            yield got
        finally:
            if got:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _opened(path: Path, flags: int) -> int:
    """Opens a file that is no link: otherwise, those who may write to the folder choose the file that is changed."""
    try:
        return os.open(path, flags, MODE)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link; name the file that it leads to", str(path)) from error
        raise
