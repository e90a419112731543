"""What a step prints, from Python, native code or its children, goes in; its log has it, without secrets.

A worker prints into a draft. It becomes the step's log once something is in it, or the step takes its time (the engine
sees to that): most steps print nothing, and a new file can take longer than to carry them out. Secrets are taken out by
a filter in a process of its own, which runs only once there are any.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from e2i.spec import sizes
from e2i.store import disk, names
from e2i.workers import masking

FILTER_TIMEOUT = 2.0
"""Seconds that the end of a step waits for the filter of its log."""


def path_of(store: Path, run: str, step: str) -> Path:
    """Where a step's log is, if it has one."""
    return store / "runs" / run / "logs" / f"{names.of_step(step)}.log"


def trim(log: Path, most: int, *, over: bool = False) -> bool:
    """Cuts a log that is longer than ``most`` bytes, and says so in it; whether it was cut.

    What is there first stays. ``over``: nothing more is printed, so that a quarter may be the end of what was printed.
    """
    try:
        with log.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size <= most:
                return False
            note = f"\n[e2i: the log is longer than {sizes.text(most)}; what follows here is left out]\n".encode()
            head = max(0, most * 3 // 4 - len(note))
            tail = b""
            if over:
                file.seek(max(head, size - (most - head - len(note))))
                tail = file.read()
            file.seek(head)
            file.truncate()
            file.write(note + tail)
    except OSError:  # there is none, or it has just been moved
        return False
    return True


def draft_of(store: Path, run: str, worker: int) -> Path:
    """Where the worker of that process prints."""
    return store / "tmp" / run / f"worker-{worker}.log"


def publish(draft: Path, log: Path) -> None:
    """Makes a draft the log as well. Raises OSError where that cannot be: there is one, or links are not to be had."""
    disk.folder(log.parents[3], *log.parts[-4:-1])
    os.link(draft, log)


def keep(draft: Path, log: Path) -> None:
    """Makes a draft the log and nothing else, or what follows in the log of an attempt before."""
    try:
        publish(draft, log)
    except OSError:
        if not (log.exists() and log.samefile(draft)):
            with draft.open("rb") as said, os.fdopen(_open(log), "ab") as file:
                shutil.copyfileobj(said, file)
    draft.unlink(missing_ok=True)


class Output:
    """This process's standard output and error, step by step."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._run = self._step = ""
        self._most = 0
        """Bytes that the step's log may have."""
        self._draft: Path | None = None
        self._file = -1
        """The draft, open."""
        self._filter: _Filter | None = None

    def begin(self, run: str, step: str, secrets: Sequence[str], most: int) -> None:
        """From now on it is this step that prints. Raises OSError when the disk takes nothing."""
        if self._is_used():  # since the step before has ended
            self._put_away()
        self._run, self._step, self._most = run, step, most
        if secrets:
            self._filter = _Filter(path_of(self._store, run, step), secrets)
        elif self._draft is None:
            self._draft = draft_of(self._store, run, os.getpid())
            disk.folder(self._store, *self._draft.parts[-3:-1])
            self._file = _open(self._draft)
            _redirect(self._file)

    def end(self, last: str, *, always: bool = False) -> bool:
        """The step has ended. ``last`` is the last line of its log, if it has one; ``always``: it is to have one.

        Whether the log was cut, as it had become too long.
        """
        if self._filter is not None:
            sys.stderr.write(last)
            self._filter.end()
            self._filter = None
            return trim(path_of(self._store, self._run, self._step), self._most, over=True)
        sys.stdout.flush()
        sys.stderr.flush()
        if always or self._is_used():
            sys.stderr.write(last)
            sys.stderr.flush()
            self._put_away()
            return trim(path_of(self._store, self._run, self._step), self._most, over=True)
        return False

    def _is_used(self) -> bool:
        """Whether something is in the draft, or it is the log already."""
        if self._draft is None:
            return False
        found = os.fstat(self._file)
        return found.st_size > 0 or found.st_nlink > 1

    def _put_away(self) -> None:
        """The draft is the step's log. What it left behind prints into it until another step begins."""
        draft, self._draft = self._draft, None
        assert draft is not None
        os.close(self._file)
        keep(draft, path_of(self._store, self._run, self._step))


class _Filter:
    """A process that writes to a log what is printed here, without the secrets."""

    def __init__(self, log: Path, secrets: Sequence[str]) -> None:
        disk.folder(log.parents[3], *log.parts[-4:-1])
        file = _open(log)
        command = [sys.executable, "-I", "-S", masking.__file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.DEVNULL)
        os.close(file)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._pipe.write(json.dumps(list(secrets)).encode() + b"\n")
        self._pipe.flush()
        _redirect(self._pipe.fileno())

    def end(self) -> None:
        """Waits until the log has all."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        _redirect(nowhere)  # what a thread of the step prints from now on
        os.close(nowhere)
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process that the step left behind holds the pipe
            self._process.wait(FILTER_TIMEOUT)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _redirect(target: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
