"""Pass requests on to the replicas of an endpoint. In: requests. Out: the answers of the Bento whose turn it is.

A request whose replica ends before it has answered goes to another one. Bodies up to ``KEPT`` bytes, and answers whose
announced length is up to ``WHOLE``, are kept for that; others are passed on as they arrive.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from e2i.tools.bentoml.replicas import Group, Replica

KEPT = 8 << 20
WHOLE = 1 << 20
TRIES = 5
WAITS = 20.0
"""Seconds that a request waits for a replica, such as while the only one is started again."""
OF_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "content-length", "expect")
)  # fmt: skip
"""Headers that hold for one connection, or that are written again."""
KEY = "E2I-Key"
"""Header of a request: requests of one key are answered by one Bento while the shares stay."""
BENTO = "E2I-Bento"
"""Header of an answer: the Bento that answered."""
LOST = (
    aiohttp.ClientConnectorError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
    aiohttp.ClientPayloadError,
    ConnectionError,
)


class Split:
    """Chooses who answers: exactly in proportion over any stretch of requests, or by a request's key."""

    def __init__(self, groups: Sequence[tuple[Group, float]]) -> None:
        self.groups = list(groups)
        self._credit = [0.0] * len(self.groups)

    def choose(self, key: str | None) -> Group | None:
        """Return the group for the next request; None when there is none."""
        if not self.groups:
            return None
        total = sum(percent for _, percent in self.groups)
        if key is not None:
            place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64 * total
            for group, percent in self.groups:
                place -= percent
                if place < 0:
                    return group
            return self.groups[-1][0]
        for index, (_, percent) in enumerate(self.groups):
            self._credit[index] += percent
        best = max(range(len(self.groups)), key=self._credit.__getitem__)
        self._credit[best] -= total
        return self.groups[best][0]


class Proxy:
    """The web server of an endpoint. ``split`` is replaced when the shares change; requests under way stay."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.split = Split(())
        self.active = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method in ("GET", "HEAD") and request.path in ("/livez", "/healthz", "/readyz"):
            ready = any(group.next() is not None for group, _ in self.split.groups)
            return web.Response(status=200 if ready or request.path != "/readyz" else 503)
        self.active += 1
        try:
            return await self._pass_on(request)
        finally:
            self.active -= 1

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        start, whole = await _beginning(request.content)
        until = time.monotonic() + WAITS
        group: Group | None = None
        for _ in range(TRIES):
            if group is None or not any(group is known for known, _ in self.split.groups):
                group = self.split.choose(request.headers.get(KEY))
            replica, group = await self._ready(group, request, until)
            if replica is None or group is None:
                return web.json_response({"error": "no replica is ready"}, status=503, headers={"Retry-After": "1"})
            replica.busy += 1
            try:
                answer = await self._ask(replica, request, start if whole else _all(start, request.content))
                if answer is not None:
                    return answer
            finally:
                replica.busy -= 1
            if not whole:
                break
            await asyncio.sleep(0.05)  # until its end has been noticed
        return web.json_response({"error": "the replica ended while it answered"}, status=502)

    async def _ready(
        self, group: Group | None, request: web.BaseRequest, until: float
    ) -> tuple[Replica | None, Group | None]:
        """Return a replica that answers, and its group. Waits for one; the group is another one if it was replaced."""
        while True:
            replica = group.next() if group is not None else None
            if replica is not None or time.monotonic() >= until:
                return replica, group
            await asyncio.sleep(0.02)
            if group is None or not any(group is known for known, _ in self.split.groups):
                group = self.split.choose(request.headers.get(KEY))

    async def _ask(
        self, replica: Replica, request: web.BaseRequest, body: bytes | AsyncIterator[bytes]
    ) -> web.StreamResponse | None:
        """Return the answer, passed on; None when the replica was lost before it began to answer."""
        address = URL(f"{replica.url}{request.raw_path}", encoded=True)
        response: web.StreamResponse | None = None
        try:
            async with self.http.request(
                request.method,
                address,
                headers=_passed(request.headers),
                data=body or None,
                allow_redirects=False,
            ) as answer:
                length = answer.content_length if request.method != "HEAD" else None
                whole = await answer.read() if length is not None and length <= WHOLE else b""
                headers = _passed(answer.headers)
                headers[BENTO] = replica.key.tag
                response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
                response.content_length = length
                await response.prepare(request)
                await response.write(whole)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response
        except LOST:
            if response is not None:  # part of the answer has been sent: only the connection's end can tell
                if request.transport is not None:
                    request.transport.abort()
                return response
            return None


async def _beginning(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Return the first bytes of a body, and whether they are all of it."""
    kept = bytearray()
    async for piece in content.iter_any():
        kept += piece
        if len(kept) > KEPT:
            return bytes(kept), False
    return bytes(kept), True


async def _all(start: bytes, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    yield start
    async for piece in content.iter_any():
        yield piece


def _passed(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that are passed on."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in OF_CONNECTION | named)
