"""Write a step's log without secrets. In: output of the step, from Python, native code or its children. Out: the log.

A worker prints into a draft. The draft becomes the step's log once it has content, or when the step takes longer (the
engine does this). Most steps print nothing, and creating a file can take longer than executing them. Secrets are
removed by a filter in its own process, which runs only when there are any.
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

from e2i.regular import open_private
from e2i.spec import sizes
from e2i.store import disk, names
from e2i.workers import masking

FILTER_TIMEOUT = 2.0
"""Seconds that the end of a step waits for the filter of its log."""


def path_of(store: Path, run: str, step: str) -> Path:
    """Return the path of a step's log, if it has one."""
    return store / "runs" / run / "logs" / f"{names.of_step(step)}.log"


def trim(log: Path, most: int, *, over: bool = False) -> bool:
    """Cut a log that is longer than ``most`` bytes and mark the cut; return True when it was cut.

    The beginning is kept. ``over``: no more output follows, so a quarter may be the end of the output.
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
    """Return the file that the worker of that process prints into."""
    return store / "tmp" / run / f"worker-{worker}.log"


def publish(draft: Path, log: Path) -> None:
    """Link a draft as the log. Raises OSError when that is impossible: a log exists, or links are not supported."""
    disk.folder(log.parents[3], *log.parts[-4:-1])
    os.link(draft, log)


def keep(draft: Path, log: Path) -> None:
    """Move a draft to the log, or append it to the log of an earlier attempt."""
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
        """Maximum size of the step's log in bytes."""
        self._draft: Path | None = None
        self._file = -1
        """Descriptor of the draft."""
        self._filter: _Filter | None = None

    def begin(self, run: str, step: str, secrets: Sequence[str], most: int) -> None:
        """Start the output of a step. Raises OSError when the disk accepts nothing."""
        if self._draft is not None and run != self._run:  # of a run that has ended, and has removed its drafts
            os.close(self._file)
            self._draft = None
        if self._is_used():  # since the previous step has ended
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
        """End the output of the step; return True when the log was cut.

        ``last`` is the last line of its log, if it has one; ``always``: create a log in any case.
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
        """Return True when the draft has content, or is the log already."""
        if self._draft is None:
            return False
        found = os.fstat(self._file)
        return found.st_size > 0 or found.st_nlink > 1

    def _put_away(self) -> None:
        """Make the draft the step's log. Remaining processes print into it until another step begins."""
        draft, self._draft = self._draft, None
        assert draft is not None
        os.close(self._file)
        keep(draft, path_of(self._store, self._run, self._step))


class _Filter:
    """A process that copies the output to a log, without the secrets."""

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
        """Wait until the log is complete."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        _redirect(nowhere)  # output of a thread of the step from now on
        os.close(nowhere)
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process that the step left behind holds the pipe
            self._process.wait(FILTER_TIMEOUT)


def _open(path: Path) -> int:
    return open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _redirect(target: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
