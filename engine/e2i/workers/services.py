"""Run processes that outlive a step, such as a model server, each under a guardian that never outlives its engine.

In: a command and a path that answers when it is ready. Out: a ``Service``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from e2i.catalog.artifacts import Service
from e2i.errors import StepError, ToolUnavailable

READY_WITHIN = 90.0
"""Timeout of a service's first answer, in seconds."""


class Lifelines(Struct, frozen=True):
    """Two pipe ends that a guardian inherits from the engine.

    ``engine`` reads end-of-file once the engine has exited or has ended its services. ``guardians`` is a write end that
    every guardian holds while it lives, so the engine reads end-of-file once all have exited.
    """

    engine: int
    guardians: int


def start(
    argv: Sequence[str],
    *,
    port: int,
    ready: str,
    env: Mapping[str, str],
    log: Path,
    digest: str,
    keep: bool,
    lifelines: Lifelines,
) -> Service:
    """Start ``argv`` in a session of its own and wait until ``GET ready`` on the loopback port answers 200."""
    from e2i.workers import guardian, launch

    held = () if keep else (lifelines.engine, lifelines.guardians)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, ",".join(map(str, held[:1])), "", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **env, **launch.SAFE},
            pass_fds=held,
            start_new_session=True,
        )
    try:
        _wait(process, port, ready, log)
    except BaseException:
        process.terminate()
        process.wait(30)
        raise
    return Service(digest=digest, url=f"http://127.0.0.1:{port}", pid=process.pid, kept=keep)


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise StepError(
                f"the service ended with exit code {process.returncode}: {tail[0][:300]}",
                code="service-ended",
                hint=f"its log is {log}",
            )
        if _answers(port, ready):
            return
        time.sleep(0.05)
    raise ToolUnavailable("service", f"the service did not answer {ready} within {READY_WITHIN:g} s", hint=f"see {log}")


def _answers(port: int, path: str) -> bool:
    from http.client import HTTPConnection, HTTPException  # needed only by steps that start a service

    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
