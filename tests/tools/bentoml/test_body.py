"""Bodies that come late, are too large, or are too many at once, over raw sockets."""

from __future__ import annotations

import asyncio
import gzip

import pytest

pytest.importorskip("aiohttp")

from e2i.tools.bentoml import body, proxy
from routed_endpoint import Group, connected, echo, request, routed, run, sent, serving

TYPE = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


@pytest.mark.parametrize("start", [b"", b"rows", bytes(body.KEPT + 1)])
def test_a_body_that_does_not_arrive_in_time_is_given_up(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "WITHIN", 1.0)

    async def work() -> None:
        async with serving(echo) as replica:
            group = Group("hcp:v1", replica)
            async with routed((group, 100.0)) as (_, url):
                answer = await sent(url, request("POST /predict", TYPE, f"Content-Length: {len(start) + 1}"), start)
                assert answer.startswith(b"HTTP/1.1 408 ")
                assert group.members[0].busy == 0

    run(work)


def test_a_body_that_trickles_in_has_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "WITHIN", 0.5)

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            reader, writer = await connected(url)
            writer.write(request("POST /predict", TYPE, "Content-Length: 1000"))
            answering = asyncio.create_task(reader.readline())
            while not answering.done():
                writer.write(b"x")
                await asyncio.wait({answering}, timeout=0.05)
            assert (await answering).split()[1] == b"408"
            writer.close()

    run(work)


def test_a_body_without_a_length_that_grows_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LARGEST", 300_000)
    monkeypatch.setattr(body, "KEPT", 100_000)

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            answer = await sent(url, request("POST /predict", TYPE, CHUNKED), *[chunk(bytes(100_000))] * 4)
            assert answer.startswith(b"HTTP/1.1 413 ")
            whole = [*[chunk(bytes(100_000))] * 3, b"0\r\n\r\n"]
            answer = await sent(url, request("POST /predict", TYPE, CHUNKED), *whole)
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(bytes(300_000))

    run(work)


def test_what_all_requests_hold_is_limited_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "HELD", 1 << 20)
    head = request("POST /predict", TYPE, f"Content-Length: {600_001}")

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            reader, writer = await connected(url)
            writer.write(head + bytes(600_000))
            await writer.drain()
            answer = b" 200 "
            while b" 200 " in answer:  # until the first body has arrived
                answer = await sent(url, head, bytes(600_001))
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in answer
            small = await sent(url, request("POST /predict", TYPE, "Content-Length: 4"), b"rows")
            assert small.startswith(b"HTTP/1.1 200 ")
            writer.write(b"\0")
            assert (await reader.readline()).split()[1] == b"200"
            await reader.read()
            writer.close()
            for _ in range(5):
                assert b" 200 " in await sent(url, head, bytes(600_001))

    run(work)


def test_a_body_that_breaks_off_leaves_no_traceback_and_holds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            answer = await sent(url, request("POST /predict", TYPE, CHUNKED), b"nonsense\r\n")
            assert answer.split()[1] == b"400"
            _, writer = await connected(url)
            writer.write(request("POST /predict", TYPE, "Content-Length: 1000") + b"rows")
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()
            assert b" 200 " in await sent(url, request("POST /predict", TYPE, "Content-Length: 0"))

    run(work)
    assert not [record for record in caplog.records if record.name.startswith(("e2i", "aiohttp", "asyncio"))]


def test_a_compressed_body_is_passed_on_as_it_was_sent() -> None:
    bomb = gzip.compress(bytes(10_000_000))

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            head = request("POST /predict", TYPE, f"Content-Length: {len(bomb)}", "Content-Encoding: x-own")
            assert (await sent(url, head, bomb)).endswith(bomb)
            zipped = request("POST /predict", TYPE, f"Content-Length: {len(bomb)}", "Content-Encoding: gzip")
            answer = await sent(url, zipped, bomb)
            assert b"Content-Length: 10000000" in answer  # the small replica here decompresses it, not the router

    run(work)


def test_room_is_given_back() -> None:
    room = body.Room(10)
    assert room.take(6) and not room.take(5) and room.take(4)
    room.give(6)
    assert room.take(5)
