"""Open clients of Opik: the SDK's, or only its REST client. In: settings and the tool's home folder. Out: clients.

Embedded, the SDK sends HTTP to ``LocalBackend`` in this process, without a socket. The SDK accepts a transport only
through a hook that every client of the process uses. Our hook routes one host name per home and leaves every other
client unchanged, so embedded clients of several homes and clients of servers can run in one process.
"""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from opik import hooks

from e2i.tools.opik import OpikSettings
from e2i.tools.opik.answers import AnsweredTransport
from e2i.tools.opik.capture import DIRECT, CapturingTransport, Taker
from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.request_bodies import read_body

if TYPE_CHECKING:
    import opik
    from opik.rest_api.client import OpikApi

DOMAIN = "opik.invalid"
"""A host name that never resolves (RFC 2606): a request that misses its transport goes nowhere."""


def open_client(settings: OpikSettings, home: Path, *, limited: bool = False) -> opik.Opik:
    """Open the SDK's own client. It sends in its own threads, so data is safe only after ``flush`` confirms it.

    ``limited``: each request goes directly to the server, with the deadline of the settings instead of the SDK's 100 s,
    and the client prints no links.
    """
    import opik

    client = opik.Opik(
        project_name=settings.project_name,
        workspace=settings.workspace,
        host=address(settings, home),
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        _show_misconfiguration_message=False,
    )
    if limited:
        client._httpx_client.event_hooks["request"].append(partial(_limit, settings.deadline))
        client._dereferenced_workspace = _no_link
    return client


def _limit(seconds: float, request: httpx.Request) -> None:
    request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
    request.headers[DIRECT] = "yes"


def _no_link() -> str:
    """Stand in for the workspace in links: the SDK prints one for each evaluation, unless it cannot make it."""
    raise NotImplementedError


def open_rest(settings: OpikSettings, home: Path, connection: httpx.Client | None = None) -> OpikApi:
    """Open the SDK's REST client. A call returns once Opik has accepted it, within the deadline, and never retries.

    ``e2i.tools.opik.answers`` handles all other responses.
    """
    from opik.rest_api.client import OpikApi

    key = settings.api_key.get_secret_value() if settings.api_key else None
    return OpikApi(
        base_url=settings.url or f"http://{DOMAIN}/api/",
        api_key=key,
        workspace_name=settings.workspace,
        httpx_client=connection or open_http(settings, home),
    )


def open_http(settings: OpikSettings, home: Path) -> httpx.Client:
    """Return the HTTP client below ``open_rest``, so that the caller can close it."""
    transport: httpx.BaseTransport = (
        LocalTransport(LocalBackend(home / "traces.db"))
        if settings.url is None
        else AnsweredTransport(httpx.HTTPTransport(), settings.deadline)
    )
    return httpx.Client(transport=transport, timeout=settings.deadline, headers={"accept-encoding": "identity"})


class LocalTransport(httpx.BaseTransport):
    """Passes requests to a backend in this process."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = read_body(request.read(), request.headers.get("content-encoding"))
        if request.method == "GET":
            body = dict(request.url.params)
        answer = self._backend.answer(request.method, request.url.path.removeprefix("/api/"), body)
        headers = {"content-type": answer.media_type, **({"location": answer.location} if answer.location else {})}
        return httpx.Response(answer.status, headers=headers, content=answer.content)


class EmbeddedHook(hooks.HttpxClientHook):  # type: ignore[misc]  # the SDK is not typed for mypy
    """Adds transports to every client that the SDK creates: for each embedded home, and for servers of programs."""

    def __init__(self) -> None:
        super().__init__(client_modifier=None, client_init_arguments=None)
        self._mounts: dict[str, httpx.BaseTransport] = {}
        self._takers: dict[str, Taker] = {}

    def mount(self, host: str, home: Path) -> None:
        if f"all://{host}" not in self._mounts:
            self._mounts[f"all://{host}"] = LocalTransport(LocalBackend(home / "traces.db"))

    def capture(self, taker: Taker) -> None:
        self._takers[taker.pattern] = taker

    def update_init_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        limits = {name: kwargs[name] for name in ("verify", "limits", "proxy") if name in kwargs}
        captures = {
            pattern: CapturingTransport(httpx.HTTPTransport(**limits), taker) for pattern, taker in self._takers.items()
        }
        return {**kwargs, "mounts": {**kwargs.get("mounts", {}), **captures, **self._mounts}}


@cache
def _hook() -> EmbeddedHook:
    """Return the only hook of this process. The SDK's list of hooks is global, not per client."""
    hook = EmbeddedHook()
    hooks.add_httpx_client_hook(hook)
    return hook


def capture(taker: Taker) -> None:
    """Have the documents of clients that the SDK opens from now on taken, if they are for the taker's server."""
    _hook().capture(taker)


def address(settings: OpikSettings, home: Path) -> str:
    """Return the address for the SDK's own clients; an embedded one is served in this process only."""
    if settings.url is not None:
        return settings.url
    host = f"{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:32]}.{DOMAIN}"
    _hook().mount(host, home)
    return f"http://{host}/api/"
