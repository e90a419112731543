"""What a step may leave behind in a warm worker, and what becomes of it.

In: a worker's process, around one call. Out: an empty folder for temporary files, limits that hold for the call alone,
and the reason why the worker should not take another call, if there is one.
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

from e2i.resilience import removal
from e2i.store import disk
from e2i.workers import shared_memory

FILES = 200
"""Files that a step may leave open before its worker is replaced."""
THREADS = 64
SLACK = 64 << 20
"""Bytes beyond the limit and a quarter of it that may be asked for: what is asked for is not yet used."""


class Scratch:
    """The folder for a step's temporary files: made when it is needed, kept for the next step while it is empty."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._store = Path()

    def folder(self, store: Path, run: str) -> Path:
        """An empty folder, which ``tempfile`` and the programs that the step starts use too."""
        if self._path is None:
            self._store = store
            self._path = Path(tempfile.mkdtemp(prefix="step-", dir=disk.folder(store, "tmp", run)))
            os.environ["TMPDIR"] = tempfile.tempdir = str(self._path)
        return self._path

    def clear(self) -> None:
        """The step is over."""
        assert self._path is not None
        try:
            with os.scandir(self._path) as entries:
                if next(entries, None) is None:
                    return
        except OSError:  # the step has removed it, or shut it
            pass
        with contextlib.suppress(OSError):
            removal.remove_below(self._store, self._path)
        self._path = None


class ProcessBaseline:
    """How a worker's process was when it was fresh: folder, signals, mask of files, open files and threads; and which
    segments of shared memory there were before the call.
    """

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109 - as text, for every call
        self._files = _lowest_free_descriptor()
        self._seen = shared_memory.Seen()
        self._segments = self._seen.names()

    def note(self) -> None:
        """A step begins."""
        self._segments = self._seen.names()

    def restore(self) -> str | None:
        """Takes back what the step changed. Returns why the worker should be replaced, if it should."""
        os.chdir(self._folder)
        os.umask(0o077)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if (files := _lowest_free_descriptor() - self._files) > FILES:
            return f"{files} or more files open"
        if (threads := threading.active_count()) > THREADS:
            return f"{threads} threads running"
        if any(map(shared_memory.is_ours, self._seen.names() - self._segments)):  # they go with the worker
            return "shared memory behind"
        return None


@contextlib.contextmanager
def limited(memory: int | None, cores: Sequence[int], now: Memory) -> Iterator[None]:
    """Holds this process, and what it starts, to so many more bytes than it has now, and to some cores.

    What goes beyond is refused (``MemoryError``). Lifted at the end.
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
    """Sets environment variables for one call, and puts back what was there, whatever the step did to them."""
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
        self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # once: it is looked at after every call

    def held(self) -> int:
        """What it holds of its own, without what is mapped from files."""
        fields = os.pread(self._file, 200, 0).split()
        return (int(fields[1]) - int(fields[2])) * _PAGE

    def private(self) -> int:
        """Its private, writable address space, of which RLIMIT_DATA is the limit."""
        return int(os.pread(self._file, 200, 0).split()[5]) * _PAGE


def _pin(cores: Sequence[int] | set[int]) -> None:
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - also threads of native libraries, which are there already
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), cores)


def _lowest_free_descriptor() -> int:
    """At least so many files are open: the kernel gives out the lowest number that is free."""
    number = os.dup(0)
    os.close(number)
    return number


_PAGE = os.sysconf("SC_PAGE_SIZE")
