"""What a step prints, from Python, native code or its children, goes in; its log has it, without secrets.

Secrets are taken out by a filter in a process of its own, which runs only once there are any.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from e2i.workers import masking

FILTER_PATIENCE = 2.0
"""Seconds that the end of a step waits for the filter of its log."""


@contextlib.contextmanager
def output_to(log: str, secrets: Sequence[str]) -> Iterator[None]:
    """Points this process's standard output and error to the log for a while."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    filtering = _filter(handle, secrets) if secrets else None
    target = filtering.stdin.fileno() if filtering and filtering.stdin else handle
    try:
        _redirect(target)
        yield
    finally:
        if filtering is None:
            sys.stdout.flush()
            sys.stderr.flush()
        else:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            _redirect(nowhere)  # what a thread of the step prints from now on
            os.close(nowhere)
            with contextlib.suppress(BrokenPipeError):
                filtering.stdin.close()  # type: ignore[union-attr]  # it was asked for
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process that the step left behind holds the pipe
                filtering.wait(FILTER_PATIENCE)
        os.close(handle)


def _redirect(target: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)


def _filter(log: int, secrets: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that writes to the log what it reads, without the secrets."""
    command = [sys.executable, "-I", "-S", masking.__file__]
    filtering = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.DEVNULL)
    assert filtering.stdin is not None
    filtering.stdin.write(json.dumps(list(secrets)).encode() + b"\n")
    filtering.stdin.flush()
    return filtering
