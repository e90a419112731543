"""Clean up after a step in a warm worker.

In: a worker's process, around one call. Out: an empty folder for temporary files, limits for the call alone, and the
reason why the worker should not take another call, if there is one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from e2i import regular
from e2i.resilience import removal
from e2i.store import disk
from e2i.workers import shared_memory

FILES = 200
"""Number of files that a step may leave open before its worker is replaced."""
THREADS = 64
SLACK = 64 << 20
"""Bytes that may be requested beyond the limit plus a quarter: requested memory is not yet used."""


class Scratch:
    """The folder for a step's temporary files: kept for the next step of the run while it is empty."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._store, self._run = Path(), ""

    def folder(self, store: Path, run: str) -> Path:
        """Return an empty folder, which ``tempfile`` and the programs that the step starts use too."""
        if self._path is None or run != self._run:  # a run removes its folder at its end
            self._store, self._run = store, run
            self._path = regular.scratch_folder(disk.folder(store, "tmp", run), "step-")
            os.environ["TMPDIR"] = tempfile.tempdir = str(self._path)
        return self._path

    def clear(self) -> None:
        """Clean up at the end of the step."""
        assert self._path is not None
        try:
            with os.scandir(self._path) as entries:
                if next(entries, None) is None:
                    return
        except OSError:  # the step has removed it, or changed its permissions
            pass
        with contextlib.suppress(OSError):
            removal.remove_below(self._store, self._path)
        self._path = None


class ProcessBaseline:
    """State of a fresh worker process: folder, signals, umask, open files, threads; and the shared memory."""

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109 - as text, for every call
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._files = _lowest_free_descriptor()
        self._seen = shared_memory.Seen()
        self._segments = self._seen.names()

    def note(self) -> None:
        """Record the state before a step."""
        self._segments = self._seen.names()

    def restore(self) -> str | None:
        """Revert what the step changed. Returns why the worker should be replaced, if it should."""
        os.chdir(self._folder)
        os.umask(self._mask)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if (files := _lowest_free_descriptor() - self._files) > FILES:
            return f"{files} or more files open"
        if (threads := threading.active_count()) > THREADS:
            return f"{threads} threads running"
        if shared_memory.are_left(self._seen.names() - self._segments):  # they end with the worker
            return "shared memory behind"
        return None


@contextlib.contextmanager
def limited(memory: int | None, cores: Sequence[int], now: Memory) -> Iterator[None]:
    """Limit this process, and what it starts, to more bytes than now by the given number, and to some cores.

    Requests beyond the limit are refused (``MemoryError``). The limit ends with the block.
    """
    if memory is None and not cores:
        yield
        return
    allowed = os.sched_getaffinity(0) if cores else set()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if memory is not None:
        most = now.private() + memory + memory // 4 + SLACK
        resource.setrlimit(resource.RLIMIT_DATA, (most if before[1] < 0 else min(most, before[1]), before[1]))
    if cores:
        _pin(cores)
    try:
        yield
    finally:
        if cores:
            _pin(allowed)
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, before)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for one call, and restore the old ones, whatever the step did to them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Memory:
    """This process's memory, in bytes."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # once: it is read after every call

    def held(self) -> int:
        """Return its own memory, without what is mapped from files."""
        fields = os.pread(self._file, 200, 0).split()
        return (int(fields[1]) - int(fields[2])) * _PAGE

    def mapped(self) -> int:
        """Return the memory that is mapped from files."""
        return int(os.pread(self._file, 200, 0).split()[2]) * _PAGE

    def private(self) -> int:
        """Return its private, writable address space, which RLIMIT_DATA limits."""
        return int(os.pread(self._file, 200, 0).split()[5]) * _PAGE


class PeakMemory:
    """The peak memory of this process in one call, in bytes, beyond what it used before and without mapped files."""

    def __init__(self, now: Memory) -> None:
        self._now = now
        self._before = 0
        self._known = False

    def begin(self) -> None:
        """Starts to measure: the kernel forgets the earlier peak, where it can."""
        self._before = self._now.held()
        try:
            Path("/proc/self/clear_refs").write_bytes(b"5")
            self._known = True
        except OSError:  # the kernel, or a container, does not allow it
            self._known = False

    def end(self) -> int:
        """Returns the peak since ``begin``; what is used now, where the kernel does not tell the peak."""
        highest = self._now.held()
        if self._known:
            lines = Path("/proc/self/status").read_bytes().splitlines()
            peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith(b"VmHWM:")), 0)
            highest = max(highest, peak - self._now.mapped())
        return max(0, highest - self._before)


def _pin(cores: Sequence[int] | set[int]) -> None:
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - also threads of native libraries, which are there already
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), cores)


def _lowest_free_descriptor() -> int:
    """Return True when at least that many files are open: the kernel assigns the lowest free number."""
    number = os.dup(0)
    os.close(number)
    return number


_PAGE = os.sysconf("SC_PAGE_SIZE")
