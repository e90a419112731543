"""Small servers as replicas behind the front of an endpoint, and requests to it byte for byte: for tests of its router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web

from e2i.tools.bentoml import front, proxy

JSON = {"Content-Type": "application/json"}


class Group:
    """As ``replicas.Group``: replicas at addresses, in turn."""

    def __init__(self, tag: str, *urls: str | None) -> None:
        self.key = SimpleNamespace(tag=tag)
        self.members = [SimpleNamespace(url=url, busy=0, key=self.key) for url in urls]
        self.turn = 0

    def next(self) -> Any:
        answering = [member for member in self.members if member.url]
        self.turn += 1
        return answering[self.turn % len(answering)] if answering else None


@asynccontextmanager
async def serving(answer: Any) -> AsyncIterator[str]:
    async with listening(web.Server(answer)) as url:
        yield url


@asynccontextmanager
async def listening(server: web.Server) -> AsyncIterator[str]:
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def routed(*groups: tuple[Group, float], most: int | None = None) -> AsyncIterator[tuple[Any, str]]:
    """A client that sends JSON, and the address of a proxy in front of the groups."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        aiohttp.ClientSession(auto_decompress=False, headers=JSON) as client,
    ):
        router = proxy.Proxy(http)
        router.split = proxy.Split(groups)  # type: ignore[arg-type]
        async with listening(front.Front(router.handle, most)) as url:
            yield client, url


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    body = await request.content.read()
    headers = {"X-Path": request.raw_path, "X-Method": request.method, "X-Got": ",".join(sorted(request.headers))}
    return web.Response(body=body, headers=headers)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(limited())


async def sent(url: str, *pieces: bytes) -> bytes:
    """All that is answered to these bytes until the connection is closed."""
    reader, writer = await connected(url)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


def request(first: str = "POST /predict", *headers: str, host: str = "127.0.0.1") -> bytes:
    """A request's line and headers. The connection is to be closed, unless a header says otherwise."""
    kept = any(header.lower().startswith("connection:") for header in headers)
    lines = (f"{first} HTTP/1.1", f"Host: {host}", *headers, *(() if kept else ("Connection: close",)))
    return "\r\n".join((*lines, "", "")).encode("latin-1")
