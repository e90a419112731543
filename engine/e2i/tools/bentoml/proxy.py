"""Pass requests on to the replicas of an endpoint. In: requests. Out: the answers of the Bento whose turn it is.

A request that its headers alone refuse (``admission.py``) is answered before its body is read. A request whose replica
ends before it has answered goes to another one. Bodies up to ``body.KEPT`` bytes, and answers whose announced length is
up to ``WHOLE``, are kept for that; others are passed on as they arrive. Requests for predictions are counted, and
exchanges that were kept whole are handed on once the caller has its answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from e2i.tools.bentoml import admission
from e2i.tools.bentoml.admission import OF_CONNECTION, Refusal
from e2i.tools.bentoml.body import Body, Refused, Room
from e2i.tools.bentoml.callers import PROBES
from e2i.tools.bentoml.copying import Exchange
from e2i.tools.bentoml.observing import CONTENT_TYPE, Observed
from e2i.tools.bentoml.replicas import Group, Replica

WHOLE = 1 << 20
TRIES = 5
WAITS = 20.0
"""Seconds that a request waits for a replica, such as while the only one is started again."""
HELD = 128 << 20
"""Maximum number of bytes of all bodies and answers that are kept at the same time."""
STALLED = 30.0
"""Seconds in which a client must take the next piece of its answer."""
PREDICT = "/predict"
KEY = "E2I-Key"
"""Header of a request: requests of one key are answered by one Bento while the shares stay."""
SEARCHED = 1 << 20
"""Largest body in bytes in which the key is searched for."""
BENTO = "E2I-Bento"
"""Header of an answer: the Bento that answered."""
LOST = (
    aiohttp.ClientConnectionError,
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
            place = (
                int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big")
                / 2**64
                * total
            )
            for group, percent in self.groups:
                place -= percent
                if place < 0:
                    return group
            return self.groups[-1][0]
        return self.groups[self.next_index()][0]

    def next_index(self) -> int:
        """Return the number of the group whose turn it is, whatever the request's key is."""
        for index, (_, percent) in enumerate(self.groups):
            self._credit[index] += percent
        best = max(range(len(self.groups)), key=self._credit.__getitem__)
        self._credit[best] -= sum(percent for _, percent in self.groups)
        return best


class Taken:
    """A request for an answer, its key, and what is known of its answer so far."""

    def __init__(self, request: web.BaseRequest, body: Body, sticky: str | None) -> None:
        self.request = request
        self.body = body
        self.began = time.monotonic()
        self.path = admission.path_of(request)
        self.key = request.headers.get(KEY) or (_field(body, sticky) if sticky and self.path == PREDICT else None)
        self.tag: str | None = None
        self.status = 0
        self.answer: bytes | None = None


class Proxy:
    """The web server of an endpoint. ``split`` is replaced when the shares change; requests under way stay.

    ``sticky`` is the feature whose value is the key of a request without the header. ``hand_on`` is called with each
    successful exchange that was kept whole, once its caller has the answer; ``metrics`` answers for ``/metrics``.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.split = Split(())
        self.room = Room(HELD)
        self.active = 0
        self.sticky: str | None = None
        self.observed = Observed()
        self.hand_on: Callable[[Exchange], None] = lambda exchange: None
        self.metrics: Callable[[], str] | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request: by its headers alone, if they are reason enough to refuse it."""
        refused = admission.refusal(request)
        if refused is not None:
            return _refused(refused)
        if admission.path_of(request) in PROBES:
            ready = any(group.next() is not None for group, _ in self.split.groups)
            return web.Response(status=200 if ready or admission.path_of(request) != "/readyz" else 503)
        if self.metrics is not None and admission.path_of(request) == "/metrics":
            return web.Response(body=self.metrics().encode(), headers={"Content-Type": CONTENT_TYPE})
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # no answer has begun
        body = Body(request.content, self.room)
        self.active += 1
        try:
            await body.begin()
            taken = Taken(request, body, self.sticky)
            try:
                return await self._pass_on(taken)
            finally:
                self._count(taken)
        except Refused as error:
            return _refused(error.refusal)
        finally:
            self.active -= 1
            body.release()

    def _count(self, taken: Taken) -> None:
        """Count a request for predictions, and hand its exchange on."""
        if taken.path != PREDICT or taken.tag is None or not taken.status:
            return
        seconds = time.monotonic() - taken.began
        self.observed.answered(taken.tag, taken.status, seconds)
        if taken.status == 200 and taken.answer is not None and taken.body.whole:
            headers = _passed(taken.request.headers)
            self.hand_on(Exchange(taken.path, headers, taken.body.start, taken.tag, taken.answer, seconds))

    async def _pass_on(self, taken: Taken) -> web.StreamResponse:
        until = time.monotonic() + WAITS
        group: Group | None = None
        for _ in range(TRIES):
            if group is None or not any(group is known for known, _ in self.split.groups):
                group = self.split.choose(taken.key)
            replica, group = await self._ready(group, taken, until)
            if replica is None or group is None:
                return web.json_response({"error": "no replica is ready"}, status=503, headers={"Retry-After": "1"})
            replica.busy += 1
            try:
                answer = await self._ask(replica, taken)
                if answer is not None:
                    return answer
            finally:
                replica.busy -= 1
            if taken.body.refused is not None:
                raise taken.body.refused
            if not taken.body.whole:
                break
            await asyncio.sleep(0.05)  # until its end has been noticed
        taken.status = 502
        return web.json_response({"error": "the replica ended while it answered"}, status=502)

    async def _ready(self, group: Group | None, taken: Taken, until: float) -> tuple[Replica | None, Group | None]:
        """Return a replica that answers, and its group. Waits for one; the group is another one if it was replaced."""
        while True:
            replica = group.next() if group is not None else None
            if replica is not None or time.monotonic() >= until:
                return replica, group
            await asyncio.sleep(0.02)
            if group is None or not any(group is known for known, _ in self.split.groups):
                group = self.split.choose(taken.key)

    async def _ask(self, replica: Replica, taken: Taken) -> web.StreamResponse | None:
        """Return the answer, passed on; None when the replica was lost before it began to answer."""
        request = taken.request
        response: web.StreamResponse | None = None
        held = 0
        taken.tag = replica.key.tag
        try:
            async with self.http.request(
                request.method,
                _address(replica, request),
                headers=_passed(request.headers),
                data=taken.body.content(),
                allow_redirects=False,
            ) as answer:
                length = answer.content_length if request.method != "HEAD" else None
                if length is not None and length <= WHOLE and self.room.take(length):
                    held = length
                whole = await answer.read() if held else b""
                headers = _passed(answer.headers)
                headers[BENTO] = replica.key.tag
                response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
                response.content_length = length
                await response.prepare(request)
                await _in_time(response.write(whole))
                async for piece in answer.content.iter_any():
                    await _in_time(response.write(piece))
                await _in_time(response.write_eof())
                taken.status, taken.answer = answer.status, whole or None
                return response
        except LOST:
            if response is not None:  # part of the answer has been sent: only the connection's end can tell
                taken.status = 502
                if request.transport is not None:
                    request.transport.abort()
                return response
            return None
        finally:
            self.room.give(held)


def _field(body: Body, name: str) -> str | None:
    """Return the value of a feature in the first row of a request, as text; None where there is none."""
    if not body.whole or len(body.start) > SEARCHED:
        return None
    try:
        rows = msgspec.json.decode(body.start).get("input")
        value = rows[0][name]
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError):
        return None
    return None if value is None else msgspec.json.encode(value).decode()


def _address(replica: Replica, request: web.BaseRequest) -> URL:
    """Return the request's path and query at the replica. Nothing of the request can change which server that is."""
    server = URL(str(replica.url))
    path, _, query = request.raw_path.partition("?")
    return URL.build(
        scheme=server.scheme, host=server.host or "", port=server.port, path=path, query_string=query, encoded=True
    )


async def _in_time(sending: Awaitable[None]) -> None:
    """Wait until the client has taken what is sent. Raises ConnectionError when it does not."""
    try:
        async with asyncio.timeout(STALLED):
            await sending
    except TimeoutError:
        raise ConnectionAbortedError("the client does not read its answer") from None


def _refused(refusal: Refusal) -> web.Response:
    """Return the answer to a refused request. Its connection ends: the rest of the request is not read."""
    headers = {"Allow": ", ".join(refusal.allowed)} if refusal.allowed else {}
    if refusal.status == 503:
        headers["Retry-After"] = "1"
    answer = web.json_response({"error": refusal.reason}, status=refusal.status, headers=headers)
    answer.force_close()
    return answer


def _passed(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that are passed on."""
    left = OF_CONNECTION | admission.named(headers.getall("Connection", []))
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in left)
