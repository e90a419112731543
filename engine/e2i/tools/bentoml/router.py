"""Run one endpoint: its replicas, and the address in front of them. In: the endpoint's folder. Out: answers.

Run as ``python -P -s router.py FOLDER LOCK`` in a session of its own. LOCK is the descriptor of the locked file
``alive``, which every process of the endpoint holds. The router follows ``endpoint.json``: new replicas are started,
requests go to them once all of them answer, and only then are the old ones ended, each after its requests. It keeps
what it observes in ``observed.json``, and takes a change back whose guard is broken. It ends with all replicas on
SIGTERM, or when the file is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
from aiohttp import web

from e2i.tools.bentoml import records
from e2i.tools.bentoml.front import Front
from e2i.tools.bentoml.proxy import Proxy, Split
from e2i.tools.bentoml.records import Share, Status, Wanted
from e2i.tools.bentoml.replicas import HOST, Group, Key
from e2i.tools.bentoml.watching import Watch

LOOKS = 0.1
"""Seconds between two looks at the files."""
ENDING = 5.0
"""Seconds that requests may take when the endpoint ends."""


class Router:
    """One endpoint's processes, as its records want them."""

    def __init__(self, folder: Path, alive: int, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.alive = alive
        self.http = http
        self.proxy = Proxy(http)
        self.watch = Watch(folder, self.proxy, http)
        self.url = ""
        self.wanted: Wanted | None = None
        self.groups: dict[Key, Group] = {}
        self.routed = -1
        """The generation whose shares answer requests."""
        self.stopping = asyncio.Event()
        self._numbers = itertools.count()
        self._retiring: set[asyncio.Task[None]] = set()
        self._published: Status | None = None

    async def run(self) -> None:
        """Follow the records until the endpoint is to end; then end all of it."""
        records.tidy(self.folder)
        listener = _listen(_last_port(self.folder))
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        runner = web.ServerRunner(Front(self.proxy.handle), shutdown_timeout=ENDING)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=1024).start()
        try:
            while not self.stopping.is_set() and (wanted := records.wanted(self.folder)) is not None:
                self.follow(wanted)
                self.watch.keep()
                records.shorten_logs(self.folder)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), LOOKS)
        finally:
            await runner.cleanup()  # accepts no more, and waits for the requests under way
            await self.watch.stop()
            await asyncio.gather(*(group.stop() for group in self.groups.values()), *self._retiring)

    def follow(self, wanted: Wanted) -> None:
        """Start what is new; switch when all of it answers; end what is old."""
        if self.wanted is None or wanted.generation != self.wanted.generation:
            self.wanted = wanted
            for key in _keys(wanted):
                if key not in self.groups:
                    self.groups[key] = Group(key, self._numbers, self.folder, self.alive, self.http)
        keys = _keys(wanted)
        if self.routed != wanted.generation and all(self.groups[key].is_ready for key in keys):
            shares = [(self.groups[key], share) for key, share in keys.items()]
            self.proxy.split = Split([(group, percent) for group, percent in shares if percent > 0])
            self.proxy.sticky = wanted.sticky
            self.routed = wanted.generation
            self.watch.begin(wanted, {key.tag: self.groups[key] for key in keys})
        used = {group.key for group, _ in self.proxy.split.groups} | {group.key for group in self.watch.copied()}
        for key in [key for key in self.groups if key not in keys and key not in used]:
            task = asyncio.create_task(self.groups.pop(key).stop())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        self._publish(wanted)

    def _publish(self, wanted: Wanted) -> None:
        failure = next(filter(None, (self.groups[key].failure for key in _keys(wanted))), "")
        state = "ready" if self.routed == wanted.generation else "failed" if failure else "starting"
        shares = tuple(Share(group.key.tag, percent) for group, percent in self.proxy.split.groups)
        now = Status(
            generation=wanted.generation,
            state=state,
            detail=failure,
            url=self.url,
            pid=os.getpid(),
            started=records.started(os.getpid()) or 0,
            shares=shares,
            guard=self.watch.state if self.routed == wanted.generation else "",
            watched=self.watch.figures if self.routed == wanted.generation else "",
        )
        if now != self._published:
            records.write(self.folder, now)
            self._published = now


def _keys(wanted: Wanted) -> dict[Key, float]:
    """Return the groups of replicas that are wanted, each with its percentage of the requests: 0 for one that stands
    by, or is the shadow.
    """
    tags = {share.tag: share.percent for share in wanted.shares}
    if wanted.shadow is not None:
        tags.setdefault(wanted.shadow.tag, 0.0)
    return {
        Key(tag, wanted.replicas, wanted.resources, wanted.environment, wanted.home): percent
        for tag, percent in tags.items()
    }


def _last_port(folder: Path) -> int:
    """Return the port that the endpoint had before: its address stays, if it is still free."""
    before = records.last_status(folder)
    return int(before.url.rpartition(":")[2]) if before is not None else 0


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.bind((HOST, 0))
    return listener


async def main(folder: Path, alive: int) -> None:
    """Run the endpoint of that folder."""
    limits = aiohttp.ClientTimeout(total=None, sock_connect=5)
    connections = aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0)  # below uvicorn's 5 s: it never closes first
    async with aiohttp.ClientSession(
        connector=connections,
        timeout=limits,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        router = Router(folder, alive, http)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, router.stopping.set)
        await router.run()


if __name__ == "__main__":
    os.chdir("/")
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
