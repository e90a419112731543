"""Take what Opik's SDK sends by itself into the outbox. In: the SDK's requests to a server. Out: documents, responses.

The SDK keeps what a server does not take in memory only. So the spans of a tracked client, or of ``@opik.track``, take
the same way as the program's own. All other requests go to the server, after what was taken before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from e2i.tools.opik import OpikSettings
from e2i.tools.opik.documents import Noted, Resource
from e2i.tools.opik.jsonable import jsonable
from e2i.tools.opik.request_bodies import read_body

DIRECT = "x-e2i-direct"
"""Header of requests that go to the server as they are."""
TAKEN: dict[tuple[str, str], tuple[str, Resource]] = {
    ("POST", "traces/batch"): ("traces", "traces"),
    ("POST", "spans/batch"): ("spans", "spans"),
    ("PUT", "traces/feedback-scores"): ("scores", "trace_scores"),
    ("PUT", "spans/feedback-scores"): ("scores", "span_scores"),
}
"""Method and path of a request → the key of its documents, and what they are."""


class Taker(Struct, frozen=True):
    """What takes the documents of the SDK."""

    settings: OpikSettings
    take: Callable[[Sequence[Noted]], None]
    """Makes documents durable; returns then."""
    settle: Callable[[], None]
    """Waits until the server has what was taken, if it is up."""

    @property
    def pattern(self) -> str:
        """The address, as httpx names it in its mounts."""
        parts = urlsplit(str(self.settings.url))
        return f"all://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


class CapturingTransport(httpx.BaseTransport):
    """Passes documents to a ``Taker``, and everything else to the server."""

    def __init__(self, inner: httpx.BaseTransport, taker: Taker) -> None:
        self._inner = inner
        self._taker = taker

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers.pop(DIRECT, None) or not self._is_own(request):
            return self._inner.handle_request(request)
        _, _, path = request.url.path.partition("/v1/private/")
        taken = TAKEN.get((request.method, path))
        if taken is None:
            self._taker.settle()
            return self._inner.handle_request(request)
        key, resource = taken
        self._taker.take([Noted(resource, document) for document in _documents(request, key)])
        return httpx.Response(HTTPStatus.NO_CONTENT, request=request)

    def close(self) -> None:
        self._inner.close()

    def _is_own(self, request: httpx.Request) -> bool:
        """Returns whether the client has the address, the workspace and the key of the settings."""
        settings = self._taker.settings
        key = settings.api_key.get_secret_value() if settings.api_key else None
        return (
            str(request.url).startswith(str(settings.url))
            and request.headers.get("comet-workspace", settings.workspace) == settings.workspace
            and request.headers.get("authorization") == key
        )


def _documents(request: httpx.Request, key: str) -> list[dict[str, Any]]:
    body = read_body(request.read(), request.headers.get("content-encoding"))
    return [jsonable(document) for document in body.get(key) or [] if document.get("id")]
