"""Open clients of Opik: the SDK's, or only its REST client. In: settings and the tool's home folder. Out: clients.

Embedded, the SDK sends HTTP to ``LocalBackend`` in this process, without a socket. The SDK accepts a transport only
through a hook that every client of the process uses. Our hook routes one host name per home and leaves every other
client unchanged, so embedded clients of several homes and clients of servers can run in one process.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from opik import hooks

from e2i.tools.opik import OpikSettings
from e2i.tools.opik.answers import AnsweredTransport
from e2i.tools.opik.local_backend import LocalBackend

if TYPE_CHECKING:
    import opik
    from opik.rest_api.client import OpikApi

DOMAIN = "opik.invalid"
"""A host name that never resolves (RFC 2606): a request that misses its transport goes nowhere."""


def open_client(settings: OpikSettings, home: Path) -> opik.Opik:
    """Open the SDK's own client. It sends in its own threads, so data is safe only after ``flush`` confirms it."""
    import opik

    return opik.Opik(
        project_name=settings.project,
        workspace=settings.workspace,
        host=settings.url or _embedded_url(home),
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        _show_misconfiguration_message=False,
    )


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
        answer = self._backend.answer(request.method, request.url.path.removeprefix("/api/"), body)
        return httpx.Response(answer.status, headers={"content-type": answer.media_type}, content=answer.content)


def read_body(content: bytes, encoding: str | None) -> Any:
    """Return the JSON of a request's body, gzipped or not; None when there is none."""
    if encoding == "gzip":
        content = gzip.decompress(content)
    return json.loads(content) if content else None


class EmbeddedHook(hooks.HttpxClientHook):  # type: ignore[misc]  # the SDK is not typed for mypy
    """Adds a transport for each embedded home to every client that the SDK creates."""

    def __init__(self) -> None:
        super().__init__(client_modifier=None, client_init_arguments=None)
        self._mounts: dict[str, httpx.BaseTransport] = {}

    def mount(self, host: str, home: Path) -> None:
        if f"all://{host}" not in self._mounts:
            self._mounts[f"all://{host}"] = LocalTransport(LocalBackend(home / "traces.db"))

    def update_init_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "mounts": {**kwargs.get("mounts", {}), **self._mounts}}


@cache
def _hook() -> EmbeddedHook:
    """Return the only hook of this process. The SDK's list of hooks is global, not per client."""
    hook = EmbeddedHook()
    hooks.add_httpx_client_hook(hook)
    return hook


def _embedded_url(home: Path) -> str:
    host = f"{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:32]}.{DOMAIN}"
    _hook().mount(host, home)
    return f"http://{host}/api/"
