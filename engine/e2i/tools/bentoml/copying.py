"""Send copies of requests to another Bento, and compare the answers. In: an exchange. Out: counts, and lines of a log.

A copy is sent after the caller has its answer, in the background, and nobody waits for it. At most ``MOST`` copies are
on their way at the same time; others are dropped and counted. The log has no values of features.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from multidict import CIMultiDict

from e2i.tools.bentoml.observing import Difference, Observed
from e2i.tools.bentoml.replicas import Group

MOST = 64
WITHIN = 10.0
"""Seconds in which a copy must be answered."""
LARGEST = 1 << 20
"""Bytes of an answer that is compared."""
LOG = "compared.jsonl"


class Exchange(Struct, frozen=True):
    """A request for predictions, and the answer that its caller has."""

    path: str
    headers: CIMultiDict[str]
    body: bytes
    tag: str
    answer: bytes
    seconds: float


class Compared(Struct, frozen=True):
    """A line of the log."""

    at_ms: int
    served: str
    compared: str
    rows: int
    different: int
    mean_difference: float
    largest_difference: float
    served_seconds: float
    compared_seconds: float
    error: str = ""


class Copies:
    """The copies on their way."""

    def __init__(self, http: aiohttp.ClientSession, observed: Observed, folder: Path) -> None:
        self.http = http
        self.observed = observed
        self.log = folder / LOG
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, exchange: Exchange, group: Group) -> None:
        """Send a copy to a replica of the group."""
        if len(self._tasks) >= MOST:
            self.observed.dropped(group.key.tag)
            return
        task = asyncio.create_task(self._compare(exchange, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up the copies on their way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, exchange: Exchange, group: Group) -> None:
        began = time.monotonic()
        found: Difference | None = None
        error = ""
        replica = group.next()
        if replica is None:
            error = "no replica is ready"
        else:
            replica.busy += 1
            try:
                found = difference(exchange.answer, await self._answer(exchange, str(replica.url)))
            except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as problem:
                error = f"{type(problem).__name__}: {problem}"[:200]
            finally:
                replica.busy -= 1
        self.observed.compared(group.key.tag, found)
        known = found or Difference(0, 0, 0.0, 0.0)
        self._note(
            Compared(
                at_ms=time.time_ns() // 1_000_000,
                served=exchange.tag,
                compared=group.key.tag,
                rows=known.rows,
                different=known.different,
                mean_difference=known.total / known.rows if known.rows else 0.0,
                largest_difference=known.largest,
                served_seconds=round(exchange.seconds, 6),
                compared_seconds=round(time.monotonic() - began, 6),
                error=error,
            )
        )

    async def _answer(self, exchange: Exchange, url: str) -> bytes:
        limit = aiohttp.ClientTimeout(total=WITHIN)
        address = f"{url}{exchange.path}"
        async with self.http.post(address, data=exchange.body, headers=exchange.headers, timeout=limit) as answer:
            content = await answer.content.read(LARGEST + 1)
            while not answer.content.at_eof() and len(content) <= LARGEST:
                content += await answer.content.read(LARGEST + 1)
            if answer.status != 200 or len(content) > LARGEST:
                raise ValueError(f"answered {answer.status} with {len(content)} bytes")
            return content

    def _note(self, line: Compared) -> None:
        with contextlib.suppress(OSError):  # the endpoint's folder was removed: the router is about to end
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(line) + b"\n")


def difference(first: bytes, second: bytes) -> Difference:
    """Return how two answers of ``predict`` differ. Raises ValueError for what is no such answer.

    The difference of a row is the largest one between the probabilities of a class; without probabilities, that of the
    numbers, or 1 for other classes.
    """
    try:
        one, other = (msgspec.json.decode(content, type=_Answer) for content in (first, second))
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    if len(one.predictions) != len(other.predictions):
        raise ValueError("the answers have different numbers of rows")
    found = [_of_row(one, other, row) for row in range(len(one.predictions))]
    different = sum(a != b for a, b in zip(one.predictions, other.predictions, strict=True))
    return Difference(len(found), different, float(sum(found)), float(max(found, default=0.0)))


class _Answer(Struct):
    predictions: list[Any]
    probabilities: list[list[float]] | None = None


def _of_row(one: _Answer, other: _Answer, row: int) -> float:
    if one.probabilities is not None and other.probabilities is not None:
        shares = one.probabilities[row], other.probabilities[row]
        if len(shares[0]) != len(shares[1]):
            return 1.0
        return max((abs(a - b) for a, b in zip(*shares, strict=True)), default=0.0)
    values = one.predictions[row], other.predictions[row]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return float(abs(values[0] - values[1]))
    return float(values[0] != values[1])
