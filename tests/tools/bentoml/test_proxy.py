"""What the router passes on: shares, bodies, headers, and requests whose replica is lost. Replicas are small servers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

aiohttp = pytest.importorskip("aiohttp")

from aiohttp import web  # noqa: E402 - it comes with BentoML
from yarl import URL  # noqa: E402

from e2i.tools.bentoml import body, proxy  # noqa: E402
from routed_endpoint import JSON, Group, echo, routed, run, serving  # noqa: E402


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.integers(1, 300))
def test_shares_are_exact_to_one_request_over_any_stretch(weights: list[int], number: int) -> None:
    groups = [Group(str(index)) for index in range(len(weights))]
    split = proxy.Split([(group, float(weight)) for group, weight in zip(groups, weights, strict=True)])  # type: ignore[misc]
    counts = Counter(id(split.choose(None)) for _ in range(number))
    for group, weight in zip(groups, weights, strict=True):
        assert abs(counts[id(group)] - number * weight / sum(weights)) < len(weights)


def test_a_tenth_of_the_keys_is_a_tenth_and_stays_when_the_share_grows() -> None:
    old, new = Group("old"), Group("new")
    few = proxy.Split([(new, 10.0), (old, 90.0)])  # type: ignore[list-item]
    more = proxy.Split([(new, 30.0), (old, 70.0)])  # type: ignore[list-item]
    keys = list(map(str, range(5000)))
    moved = {key for key in keys if few.choose(key) is new}
    assert 0.085 <= len(moved) / len(keys) <= 0.115
    assert moved <= {key for key in keys if more.choose(key) is new}


def test_bodies_paths_and_headers_arrive_as_they_were_sent() -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (http, url):
            for size in (0, 1, body.KEPT, body.KEPT + 100_000):
                rows = bytes(size)
                address = URL(f"{url}/predict?a=%2F+b&c=", encoded=True)
                async with http.post(address, data=rows, headers={"X-Own": "1"}) as answer:
                    assert await answer.read() == rows
                    assert answer.headers["X-Path"] == "/predict?a=%2F+b&c="
                    assert "X-Own" in answer.headers["X-Got"] and answer.headers["E2I-Bento"] == "hcp:v1"
            hop = {
                "Connection": "keep-alive, X-Secret",
                "X-Secret": "1",
                "Keep-Alive": "5",
                "Upgrade": "h2c",
                "TE": "gzip",
            }
            async with http.get(f"{url}/metrics", headers=hop) as answer:
                got = set(answer.headers["X-Got"].split(","))
                assert not got & {"X-Secret", "Keep-Alive", "Upgrade", "TE"} and "Host" in got
            async with http.head(f"{url}/metrics") as answer:
                assert answer.status == 200 and answer.headers["X-Method"] == "HEAD"

    run(work)


def test_an_answer_is_passed_on_while_it_is_made() -> None:
    async def work() -> None:
        more = asyncio.Event()

        async def slow(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first")
            await more.wait()
            await response.write(b"second")
            return response

        async with (
            serving(slow) as replica,
            routed((Group("hcp:v1", replica), 100.0)) as (http, url),
            http.get(f"{url}/metrics") as answer,
        ):
            assert await answer.content.readany() == b"first"
            more.set()
            assert await answer.content.read() == b"second"

    run(work)


def test_a_request_whose_replica_is_lost_goes_to_another() -> None:
    async def work() -> None:
        async def lost(request: web.BaseRequest) -> web.StreamResponse:
            await request.read()
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        async with serving(lost) as gone, serving(echo) as replica:
            group = Group("hcp:v1", gone, "http://127.0.0.1:1", replica)
            async with routed((group, 100.0)) as (http, url):
                for _ in range(12):
                    async with http.post(f"{url}/predict", data=b"rows") as answer:
                        assert (answer.status, await answer.read()) == (200, b"rows")
                assert [member.busy for member in group.members] == [0, 0, 0]

    run(work)


def test_a_request_whose_replica_is_lost_amid_its_answer_goes_to_another() -> None:
    async def work() -> None:
        async def half(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            response.content_length = 8
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            await asyncio.sleep(0.05)
            request.transport.abort()
            return response

        async with (
            serving(half) as gone,
            serving(echo) as replica,
            routed((Group("hcp:v1", gone, replica), 100.0)) as (http, url),
        ):
            for _ in range(6):
                async with http.post(f"{url}/predict", data=b"rows") as answer:
                    assert (answer.status, await answer.read()) == (200, b"rows")

    run(work)


def test_a_request_waits_for_a_replica_that_is_started_again() -> None:
    async def work() -> None:
        async with serving(echo) as replica:
            group = Group("hcp:v1", None)
            async with routed((group, 100.0)) as (http, url):
                async with http.get(f"{url}/readyz") as answer:
                    assert answer.status == 503
                asking = asyncio.create_task(http.post(f"{url}/predict", data=b"rows"))
                await asyncio.sleep(0.1)
                assert not asking.done()
                group.members[0].url = replica
                answer = await asking
                assert (answer.status, await answer.read()) == (200, b"rows")
                async with http.get(f"{url}/readyz") as answer:
                    assert answer.status == 200

    run(work)


def test_without_any_replica_the_answer_is_503_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "WAITS", 0.2)

    async def work() -> None:
        async with (
            routed((Group("hcp:v1", None), 100.0)) as (http, url),
            http.post(f"{url}/predict", data=b"rows") as answer,
        ):
            assert answer.status == 503 and answer.headers["Retry-After"] == "1"

    run(work)


def test_a_group_that_is_replaced_while_a_request_waits_is_not_waited_for() -> None:
    async def work() -> None:
        async with serving(echo) as replica, aiohttp.ClientSession() as http:
            router = proxy.Proxy(http)
            router.split = proxy.Split([(Group("hcp:v1", None), 100.0)])  # type: ignore[list-item]
            async with serving(router.handle) as url:
                asking = asyncio.create_task(http.post(f"{url}/predict", data=b"rows", headers=JSON))
                await asyncio.sleep(0.1)
                router.split = proxy.Split([(Group("hcp:v2", replica), 100.0)])  # type: ignore[list-item]
                began = time.monotonic()
                answer = await asking
                assert answer.headers["E2I-Bento"] == "hcp:v2" and time.monotonic() - began < proxy.WAITS

    run(work)


def test_a_client_that_leaves_frees_its_replica() -> None:
    async def work() -> None:
        async def endless(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(bytes(100_000))

        async with serving(endless) as replica:
            group = Group("hcp:v1", replica)
            async with routed((group, 100.0)) as (_, url):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                await reader.read(1000)
                assert group.members[0].busy == 1
                writer.transport.abort()
                while group.members[0].busy:
                    await asyncio.sleep(0.01)

    run(work)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nBad header\x00: 1\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_a_request_that_two_servers_could_read_differently_is_refused(request_: bytes) -> None:
    async def work() -> None:
        asked: list[str] = []

        async def note(request: web.BaseRequest) -> web.StreamResponse:
            asked.append(request.path)
            return web.Response()

        async with serving(note) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(request_)
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
        assert asked == []

    run(work)
