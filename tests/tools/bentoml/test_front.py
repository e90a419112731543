"""Connections to an endpoint: too many, idle, and those whose headers or whose client do not get on."""

from __future__ import annotations

import asyncio
import resource

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web

from e2i.tools.bentoml import front, proxy
from routed_endpoint import Group, connected, echo, request, routed, run, sent, serving

ASK = request("GET /metrics", "Connection: keep-alive")


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The status of the next answer, whose body is empty."""
    return (await reader.readuntil(b"\r\n\r\n")).split()[1]


def test_connections_above_the_limit_are_answered_503_and_the_others_go_on() -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0), most=3) as (_, url):
            kept = [await connected(url) for _ in range(3)]
            for reader, writer in kept:
                writer.write(ASK)
                assert await answered(reader) == b"200"
            assert (await sent(url, ASK)).startswith(b"HTTP/1.1 503 ")
            for reader, writer in kept:
                writer.write(ASK)
                assert await answered(reader) == b"200"
            kept[0][1].close()
            await kept[0][1].wait_closed()
            answer = b" 503 "
            while b" 503 " in answer:  # until its end has been noticed
                answer = await sent(url, request("GET /metrics"))
            assert answer.startswith(b"HTTP/1.1 200 ")
            for _, writer in kept:
                writer.close()

    run(work)


def test_a_flood_of_connections_is_ended_and_the_limit_holds() -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0), most=8) as (_, url):
            flood = await asyncio.gather(*(connected(url) for _ in range(200)))
            ends = [asyncio.create_task(reader.read()) for reader, _ in flood]
            while sum(end.done() for end in ends) < 192:
                await asyncio.wait([end for end in ends if not end.done()], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.1)
            assert sum(end.done() for end in ends) == 192
            for _, writer in flood:
                writer.transport.abort()
            await asyncio.gather(*ends, return_exceptions=True)
            answer = b""
            while b" 200 " not in answer:
                answer = await sent(url, request("GET /metrics"))

    run(work)


@pytest.mark.parametrize("start", [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_connection_without_a_whole_request_is_closed(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "IDLE", 0.5)

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            for first in (b"", ASK):
                reader, writer = await connected(url)
                if first:
                    writer.write(first)
                    assert await answered(reader) == b"200"
                writer.write(start)
                closed = asyncio.create_task(reader.read())
                while not closed.done():
                    if start:
                        writer.write(b"x")  # a trickle gains no time
                    await asyncio.wait({closed}, timeout=0.05)
                writer.close()

    run(work)


def test_headers_are_limited() -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            for large in (f"X-Own: {'x' * 10_000}", "\r\n".join(f"X-{n}: 1" for n in range(200))):
                assert (await sent(url, request("GET /metrics", large))).split()[1] == b"400"

    run(work)


def test_a_client_that_does_not_read_its_answer_frees_its_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "STALLED", 0.3)

    async def work() -> None:
        async def endless(got: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(got)
            while True:
                await response.write(bytes(100_000))

        async with serving(endless) as replica:
            group = Group("hcp:v1", replica)
            async with routed((group, 100.0)) as (_, url):
                _, writer = await connected(url)
                writer.transport.pause_reading()
                writer.write(ASK)
                while not group.members[0].busy:
                    await asyncio.sleep(0.01)
                while group.members[0].busy:
                    await asyncio.sleep(0.01)
                writer.transport.abort()

    run(work)


def test_the_limit_leaves_open_files_for_the_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((1024, 398), (20_000, front.MOST), (resource.RLIM_INFINITY, front.MOST), (64, 8)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert front._allowed() == most
