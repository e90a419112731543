"""``GuardedBentoML``: the guarded BentoML client of the actions and of programs.

In: settings, guard, folder. Out: Bentos, the command that serves one, endpoints here or on BentoCloud, predictions.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.artifacts import Bento
from e2i.errors import Refused, StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.tools.bentoml import BentoMLSettings, Cloud
from e2i.tools.bentoml import cloud as cloud_module
from e2i.tools.bentoml.build import Recipe, build, ensure_bento, use_here
from e2i.tools.bentoml.builder import build_apart
from e2i.tools.bentoml.cloud import Account, Deploy, Deployment, Find, Move, Return, Undeploy, What
from e2i.tools.bentoml.contents import Contents
from e2i.tools.bentoml.endpoints import Endpoint, Endpoints, check_share
from e2i.tools.bentoml.kept import workers_of
from e2i.tools.bentoml.observing import Snapshot
from e2i.tools.bentoml.ports import HOST, claim
from e2i.tools.bentoml.predicting import Answer, ask, ask_each, post
from e2i.tools.bentoml.records import Guard as Rule
from e2i.tools.bentoml.records import Status, Wanted
from e2i.tools.bentoml.resources import Resources

LOCAL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")
LOOKS = 0.05
"""Seconds between two looks at an endpoint that is not ready."""
EACH = 100
"""Requests for single rows in one call."""
FRESH = 1.5
"""Seconds after which a router has written all that it had observed."""


class Command(Struct, frozen=True):
    """How to start a service: its arguments, port and environment variables."""

    argv: tuple[str, ...]
    port: int
    env: Mapping[str, str]
    claimed: socket.socket
    """Return the socket that reserves the port. Close it once the service listens."""


class GuardedBentoML:
    """Client of BentoML. Every method may raise ToolUnavailable (down) and StepError (refused).

    Endpoints are in the folder ``endpoints`` of ``home``; their processes inherit ``environ``. Bentos are in
    ``bentos``, BentoML's home; None: ``home`` too.
    """

    tool: ClassVar[str] = "bentoml"

    def __init__(
        self,
        settings: BentoMLSettings,
        guard: Guard,
        home: Path,
        environ: Mapping[str, str] | None = None,
        bentos: Path | None = None,
    ) -> None:
        self.settings = settings
        self.guard = guard
        self.home = bentos or home
        self.environ = environ
        self.endpoints = Endpoints(home / "endpoints", self.home, _inherited() if environ is None else environ)
        self._services: dict[str, Guard] = {}
        self._cloud_urls: set[str] = set()

    async def package(self, contents: Callable[[], Contents], recipe: Recipe) -> Bento:
        """Return the Bento of those contents and that recipe; build it if it does not exist.

        It is built in another process for a client with ``environ``, and where this process uses another home.
        """
        seconds = self.settings.build_deadline
        apart = partial(build_apart, self.endpoints.environ, seconds)

        def how(*order: Any) -> None:
            (build if self.environ is None and use_here(self.home) else apart)(*order)

        return await self.guard.acall(lambda: ensure_bento(self.home, contents(), recipe, how), deadline=seconds + 1)

    async def command(self, tag: str, port: int = 0, *, supervised: bool = False) -> Command:
        """Return the command that serves a Bento. Raises ToolUnavailable, naming the process, when the port is in use.

        With ``supervised`` or more than one worker, BentoML's own supervisor runs and restarts workers that exit.
        """
        return await self.guard.acall(_command, self.home, tag, port, supervised, deadline=self.settings.build_deadline)

    async def deploy(
        self,
        tag: str,
        name: str,
        replicas: int,
        resources: Resources,
        environment: str,
        *,
        percent: float = 100.0,
        shadow: bool = False,
        sticky: str | None = None,
        reference: bytes | None = None,
        key: str = "",
    ) -> Endpoint:
        """Deploy the Bento to the endpoint, and return when all its replicas answer.

        An endpoint that exists keeps its address; its old replicas answer until then. When the new ones do not start,
        the old state stays. ``percent``, ``shadow`` and the others are those of ``Endpoints.deploy``.
        """
        if self.settings.cloud is not None:
            _only_here(shadow, sticky, reference)
            check_share(percent)
            tag = await self.guard.acall(self.endpoints.checked, tag, name, replicas)
            if percent < 100 and await self.find(name) is not None:
                return await self.move(name, percent, tag)
            return await self._change_cloud(self.settings.cloud, Deploy(tag, name, replicas, resources, environment))
        before, after = await self.guard.acall(
            partial(self.endpoints.deploy, percent=percent, shadow=shadow, sticky=sticky, reference=reference, key=key),
            *(tag, name, replicas, resources, environment),
            deadline=self.settings.ready_deadline,
        )
        return await self._settled(before, after)

    async def move(
        self,
        name: str,
        percent: float,
        to: str | None,
        *,
        shadow: bool = False,
        sticky: str | None = None,
        guard: Callable[[str], Rule] | None = None,
        key: str = "",
    ) -> Endpoint:
        """Move that percentage of the endpoint's requests, or copies of them, to the newest, or the named, Bento."""
        if self.settings.cloud is not None:
            _only_here(shadow, sticky, guard)
            check_share(percent)
            to = to if to is None else await self.guard.acall(self.endpoints.bento, to)
            move = Move(name, percent, to, await self.guard.acall(self.endpoints.made))
            return await self._change_cloud(self.settings.cloud, move)
        before, after = await self.guard.acall(
            partial(self.endpoints.move, shadow=shadow, sticky=sticky, guard=guard, key=key),
            *(name, percent, to),
            deadline=self.settings.ready_deadline,
        )
        return await self._settled(before, after)

    async def roll_back(self, name: str, to: str | None = None, *, key: str = "") -> Endpoint:
        """Return the endpoint to what it was before the last change of who answers, or to the named Bento alone.

        On BentoCloud, which keeps no earlier states: a canary is ended, or the Bento must be named.
        """
        if (cloud := self.settings.cloud) is not None:
            tag = await self.guard.acall(self.endpoints.bento, to) if to is not None else None
            return await self._change_cloud(cloud, Return(name, tag))
        before, after = await self.guard.acall(
            partial(self.endpoints.roll_back, key=key), name, to, deadline=self.settings.ready_deadline
        )
        return await self._settled(before, after)

    async def share(self, name: str, tag: str) -> float:
        """Return the percentage of the endpoint's requests that the Bento is to answer."""
        if self.settings.cloud is not None:
            known = await self.find(name)
            if known is None or known.canary is None:
                return 100.0
            return float(known.percent if tag == known.canary else 100 - known.percent)
        wanted = await asyncio.to_thread(self.endpoints.wanted, name)
        return next((share.percent for share in wanted.shares if share.tag == tag), 0.0) if wanted else 0.0

    async def find(self, name: str) -> Deployment | None:
        """Return BentoCloud's deployment of that name; None when there is none."""
        assert self.settings.cloud is not None
        account = Account.of(self.settings.cloud, self.settings.ready_deadline)
        return await self.guard.acall(
            *(cloud_module.find, account, name, self.endpoints.environ, self.home),
            deadline=self.settings.ready_deadline + 10,
        )

    async def observed(self, name: str, wait: float = 0.0) -> tuple[Wanted, Status, Snapshot]:
        """Return what the endpoint should be, is, and has answered; after its guard has decided, or ``wait`` seconds.

        Raises StepError for an unknown endpoint, and on BentoCloud, which has its own metrics.
        """
        if self.settings.cloud is not None:
            raise StepError(
                "BentoCloud observes its deployments itself", code="bad-argument", hint="see its console for metrics"
            )
        began = time.monotonic()
        asked_ms = time.time_ns() // 1_000_000
        while True:
            wanted, status, found = await self.guard.acall(self.endpoints.observed, name)
            waited = time.monotonic() - began
            undecided = status is None or status.guard == "watching" or status.generation != wanted.generation
            is_fresh = found is not None and (found.at_ms >= asked_ms or waited >= max(wait, FRESH))
            if status is not None and found is not None and is_fresh and not (undecided and waited < wait):
                return wanted, status, found
            if waited > max(wait, self.settings.ready_deadline):
                raise ToolUnavailable("bentoml", f"the router of the endpoint {name} reports nothing")
            await asyncio.sleep(LOOKS)

    async def undeploy(self, name: str) -> None:
        """End all processes of the endpoint."""
        if self.settings.cloud is not None:
            await self._ask_cloud(self.settings.cloud, Undeploy(name))
            return
        await self.guard.acall(self.endpoints.stop, name, deadline=self.settings.ready_deadline)

    async def ask(self, url: str, rows: Sequence[Any]) -> Answer:
        """Return the service's predictions, one for each row of features.

        Raises Refused for an address that is neither on this machine, nor configured, nor the cloud's: a spec may
        contain any address for a service, and a request would reach it with the rows.
        """
        plain, headers = await self._checked(url)
        return await self._service(plain).acall(ask, plain, rows, self.settings.deadline, headers, idempotent=True)

    async def ask_each(self, url: str, rows: Sequence[Any], keys: Sequence[str]) -> tuple[Answer, list[str]]:
        """Return the predictions for rows that are sent one by one, each with its key, and the Bento of each."""
        plain, headers = await self._checked(url)
        answers, seconds = [], self.settings.deadline
        for start in range(0, len(rows), EACH):
            part = list(zip(rows[start : start + EACH], keys[start : start + EACH], strict=True))
            answers += await self._service(plain).acall(
                ask_each, plain, part, seconds, headers, idempotent=True, deadline=seconds * max(len(part) / 10, 1)
            )
        shares = [answer.probabilities for answer, _ in answers]
        return Answer(
            [item for answer, _ in answers for item in answer.predictions],
            None if None in shares else [row for part in shares for row in part or ()],
        ), [bento for _, bento in answers]

    async def metadata(self, url: str) -> dict[str, Any]:
        """Return the digest, features and classes of the service's model."""
        plain, headers = await self._checked(url)
        return await self._service(plain).acall(
            post, f"{plain}/metadata", {}, self.settings.deadline, headers, idempotent=True
        )

    async def url_of(self, name: str) -> str:
        """Return the address of an endpoint. Raises StepError for an unknown name, ToolUnavailable if it is down."""
        if self.settings.cloud is not None:
            known = await self.find(name)
            if known is None:
                raise StepError(f"BentoCloud has no deployment {name}", code="unknown-endpoint")
            self._cloud_urls.add(known.endpoint.url)
            return known.endpoint.url
        until = time.monotonic() + self.settings.ready_deadline
        while time.monotonic() < until:
            _, status, _ = await self.guard.acall(self.endpoints.observed, name)
            if status is not None and status.shares:
                return status.url
            await asyncio.sleep(LOOKS)
        raise ToolUnavailable("bentoml", f"the endpoint {name} does not answer", hint="see its log with e2i doctor")

    async def _checked(self, url: str) -> tuple[str, dict[str, str]]:
        """Return the address without a final slash, and the headers for it: the token for the cloud's own only."""
        plain, cloud = str(url).rstrip("/"), self.settings.cloud
        if LOCAL.fullmatch(plain) and plain not in self._cloud_urls:
            return plain, {}
        if cloud is not None and plain not in self._cloud_urls and await self._ask_cloud(cloud, Find(plain)):
            self._cloud_urls.add(plain)
        if cloud is not None and plain in self._cloud_urls:
            return plain, {"Authorization": f"Bearer {cloud.api_token.get_secret_value()}"}
        if urlsplit(plain) in [urlsplit(known.rstrip("/")) for known in self.settings.endpoints]:
            return plain, {}
        raise Refused(
            f"not a service of this machine, and not configured: {url[:80]!r}",
            code="bad-address",
            hint=f"http://{HOST}:PORT, or add it to tools.bentoml.endpoints in config/",
        )

    async def _change_cloud(self, cloud: Cloud, what: Deploy | Move | Return) -> Endpoint:
        endpoint = await self._ask_cloud(cloud, what)
        assert endpoint is not None, what
        self._cloud_urls.add(endpoint.url)
        return endpoint

    async def _ask_cloud(self, cloud: Cloud, what: What) -> Endpoint | None:
        seconds = self.settings.ready_deadline
        account = Account.of(cloud, seconds)
        return await self.guard.acall(
            cloud_module.ask, account, what, self.endpoints.environ, self.home, deadline=seconds + 10
        )

    def _service(self, url: str) -> Guard:
        """Return the guard of one service. Each service is a separate server and ends with its run."""
        if url not in self._services:
            self._services[url] = replace(self.guard, breaker=Breaker(self.tool, self.guard.breaker.policy))
        return self._services[url]

    async def _settled(self, before: Wanted | None, after: Wanted) -> Endpoint:
        """Return the endpoint once it is what is wanted. Undoes the change when it cannot be."""
        until = time.monotonic() + self.settings.ready_deadline
        failure = f"it was not ready within {self.settings.ready_deadline:g} s"
        while time.monotonic() < until:
            status = await asyncio.to_thread(self.endpoints.look, after.name)
            if status is not None and status.generation > after.generation:
                raise StepError(
                    f"the endpoint {after.name} was changed by another program meanwhile", code="endpoint-changed"
                )
            if status is not None and status.generation == after.generation:
                if status.state == "ready":
                    tag = after.changes[-1].tag if after.changes else after.shares[-1].tag
                    return Endpoint(after.name, status.url, tag, after.replicas)
                if status.state == "failed":
                    failure = status.detail
                    break
            await asyncio.sleep(LOOKS)
        await asyncio.to_thread(self.endpoints.undo, before, after)
        kept = f"{before.shares[-1].tag} answers as before" if before else "nothing is left of it"
        raise ToolUnavailable(
            "bentoml",
            f"the endpoint {after.name} did not start: {failure}",
            code="endpoint-failed",
            hint=f"{kept}; the log is {self.endpoints.root / after.name / 'log'}",
        )


def _only_here(*given: object) -> None:
    """Raise StepError for what BentoCloud does not have."""
    if any(given):
        raise StepError(
            "BentoCloud has no shadows, no keys and no guards",
            code="bad-argument",
            hint="leave `shadow`, `sticky_by`, `reference` and `guard` out; they are for endpoints of this machine",
        )


def _inherited() -> dict[str, str]:
    """Return what the processes of an endpoint inherit from a worker: all but its number of threads."""
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


def _command(home: Path, tag: str, port: int, supervised: bool) -> Command:
    from e2i.tools.bentoml import server

    workers = workers_of(home, tag)
    claimed = claim(port)
    port = claimed.getsockname()[1]
    argv: tuple[str, ...]
    if supervised or workers > 1:
        argv = (sys.executable, "-P", "-s", "-m", "bentoml", "serve", tag, "--host", HOST, "--port", str(port))
    else:
        argv = (sys.executable, "-P", "-s", server.__file__, tag, str(port))
    return Command(
        argv,
        port,
        {"BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "true", "E2I_SERVICE_HOSTS": ""},
        claimed,
    )
