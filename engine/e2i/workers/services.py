"""Run processes that outlive a step, such as a model server, each under a guardian that never outlives its engine.

In: a command and a path that answers when it is ready. Out: a ``Service``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from e2i.catalog.artifacts import Service
from e2i.errors import StepError

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


def lasting(argv: Sequence[str], handed: int) -> list[str]:
    """Return the command that runs ``argv`` under a guardian of its own, which ends with nobody else.

    The guardian of a worker would end whatever else the worker started.
    """
    from e2i.workers import guardian

    return [sys.executable, "-I", "-S", guardian.__file__, "", str(handed), *argv]


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, log: Path) -> None:
    from e2i.resilience.readiness import wait_until_ready  # needed only by steps that start a service

    def check() -> None:
        if process.poll() is None:
            return
        tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise StepError(
            f"the service ended with exit code {process.returncode}: {tail[0][:300]}",
            code="service-ended",
            hint=f"its log is {log}",
        )

    wait_until_ready("service", f"http://127.0.0.1:{port}{ready}", READY_WITHIN, check=check, hint=f"see {log}")
