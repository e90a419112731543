"""Keep the replicas of one Bento running. In: a Bento and the number of its processes. Out: those that answer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from msgspec import Struct

from e2i.tools.bentoml import records
from e2i.tools.bentoml import replica as script
from e2i.tools.bentoml.resources import Resources

HOST = "127.0.0.1"
ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception)\b")
"""The line of a traceback that names the error."""
READY_WITHIN = 90.0
"""Seconds until a replica must answer for the first time; it is then started again."""
SHORTEST, LONGEST = 0.25, 30.0
"""Seconds before a replica that ended is started again: doubled each time."""
STEADY = 60.0
"""Seconds after which an end counts as the first one again."""
GRACE = 8.0
"""Seconds between asking a replica to end and killing it. The service itself waits 5 s for its requests."""
DRAIN = 30.0
"""Seconds that requests may take to end when their replica is replaced."""


class Key(Struct, frozen=True):
    """Identifies a group of replicas: for another key, new processes are started."""

    tag: str
    replicas: int
    resources: Resources
    environment: str
    home: str


class Replica:
    """One process, started again whenever it ends. ``url`` is None while it does not answer."""

    def __init__(self, number: int, key: Key, folder: Path, alive: int, http: aiohttp.ClientSession) -> None:
        self.number = number
        self.key = key
        self.log = folder / f"replica-{number}.log"
        self.alive = alive
        self.http = http
        self.url: str | None = None
        self.busy = 0
        self.failures = 0
        """How often in a row it ended, or did not answer in time, before it was ready."""
        self.detail = ""
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Wait for the requests that it answers, then end it."""
        self.url = None  # no new requests
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while self.busy:
                    await asyncio.sleep(0.02)
        self._stopping.set()
        await self._task
        self.log.unlink(missing_ok=True)

    async def _keep(self) -> None:
        delay = SHORTEST
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._live()
            if self._stopping.is_set():
                return
            delay = SHORTEST if time.monotonic() - began > STEADY else min(delay * 2, LONGEST)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _live(self) -> None:
        """Start the process, and return when it has ended."""
        process, url = await self._start()
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            ready = await self._first_answer(url, ended, stopping)
            if ready and not self._stopping.is_set():
                self.url, self.failures = url, 0
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self.url = None
            if not ready and not self._stopping.is_set():
                self.detail = self._explain(process.returncode)
                self.failures += 1
        finally:
            self.url = None
            stopping.cancel()
            await _end(process, ended)

    async def _start(self) -> tuple[asyncio.subprocess.Process, str]:
        key = self.key
        cores = _cores(key.resources.cores, self.number)
        threads = {"OMP_NUM_THREADS": str(len(cores))} if cores else {}
        environ: Mapping[str, str] = {
            **os.environ,
            **threads,
            "BENTOML_HOME": key.home,
            "BENTOML_DO_NOT_TRACK": "true",
            "E2I_SERVICE_HOSTS": "",
            "E2I_ENVIRONMENT": key.environment,
        }
        with socket.socket() as listener, os.fdopen(records.create(self.log), "wb") as log:
            listener.bind((HOST, 0))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-s", script.__file__, key.tag, str(listener.fileno()), str(os.getpid())),
                *(",".join(map(str, cores)), str(key.resources.memory or 0), str(self.log.parent)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                pass_fds=(listener.fileno(), self.alive),
                start_new_session=True,
            )
            return process, f"http://{HOST}:{listener.getsockname()[1]}"

    async def _first_answer(self, url: str, ended: asyncio.Task[int], stopping: asyncio.Task[bool]) -> bool:
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            if ended.done() or stopping.done():
                return False
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.wait({ended, stopping}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        return False

    def _explain(self, code: int | None) -> str:
        lines = self.log.read_text("utf-8", "replace").strip().splitlines() if self.log.exists() else []
        error = next((line for line in reversed(lines) if ERROR.match(line)), lines[-1] if lines else "no output")
        last = error[:300]
        if code is None:
            return f"{self.key.tag} did not answer within {READY_WITHIN:g} s: {last}"
        return f"{self.key.tag} ended with exit code {code}: {last}"


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)  # its session: also what the model's library started
    await ended


class Group:
    """The replicas of one Bento."""

    def __init__(
        self, key: Key, numbers: itertools.count[int], folder: Path, alive: int, http: aiohttp.ClientSession
    ) -> None:
        self.key = key
        self.members = [Replica(next(numbers), key, folder, alive, http) for _ in range(key.replicas)]
        self._turn = itertools.count()

    @property
    def is_ready(self) -> bool:
        return all(member.url is not None for member in self.members)

    @property
    def failure(self) -> str | None:
        """Return why a replica could not be started, after it failed twice in a row."""
        return next((member.detail for member in self.members if member.failures >= 2), None)

    def next(self) -> Replica | None:
        """Return the next replica that answers, in turn; None when none does."""
        answering = [member for member in self.members if member.url is not None]
        return answering[next(self._turn) % len(answering)] if answering else None

    async def stop(self) -> None:
        """End all replicas, each after its requests."""
        await asyncio.gather(*(member.stop() for member in self.members))


def _cores(number: int | None, turn: int) -> list[int]:
    """Return which cores a replica uses, so that replicas share them evenly; none without a limit."""
    if number is None or not hasattr(os, "sched_getaffinity"):
        return []
    available = sorted(os.sched_getaffinity(0))
    return sorted({available[(turn * number + offset) % len(available)] for offset in range(number)})
