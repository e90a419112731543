"""Classify responses of an Opik server: accepted, refused permanently, or to be sent again later.

A transport for httpx. Each request is limited in seconds and bytes, and follows no redirect. Only Opik's own responses
count: 204 for accepted data, Opik's JSON for errors. A login page, a proxy's error or a partial response is no
statement about the data.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import Any

import httpx

from e2i.errors import AuthenticationFailed, StepError, ToolUnavailable
from e2i.resilience import asking, connections

MOST = 8 << 20
"""Maximum number of bytes of a response that are read."""
SETTING = "tools.opik.url"


class TooLargeError(Exception):
    """The server accepts only smaller requests (413)."""


class ConflictError(Exception):
    """The server has an object of that id that it will not replace (409)."""


class AnsweredTransport(httpx.BaseTransport):
    """Returns complete success responses of Opik. Raises ToolUnavailable, StepError, TooLargeError or ConflictError."""

    def __init__(self, inner: httpx.BaseTransport, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        timer = threading.Timer(self._deadline, connections.cut, ((request.url.host, port),))
        timer.start()
        try:
            response = self._whole(request)
        except httpx.HTTPError as error:
            raise ToolUnavailable("opik", f"opik cannot be reached: {type(error).__name__}: {error}") from error
        finally:
            timer.cancel()
        judge(request.method, response)
        return response

    def close(self) -> None:
        self._inner.close()

    def _whole(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        try:
            content = bytearray()
            assert isinstance(response.stream, httpx.SyncByteStream)
            for chunk in response.stream:
                content += chunk
                if len(content) > MOST:
                    raise asking.wrong_server("opik", f"the response exceeds {MOST >> 20} MiB", SETTING)
        finally:
            response.close()
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(content), request=request)


def judge(method: str, response: httpx.Response) -> None:
    """Raise the error that the response means; return for Opik's own success response."""
    status = response.status_code
    said = f"HTTP {status}: {response.content[:300].decode(errors='replace')}"
    body = _document(response)
    match status:
        case HTTPStatus.NO_CONTENT if method != "GET":
            return
        case HTTPStatus.OK if method == "GET" and isinstance(body, dict):
            return
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY if is_own_error(body):
            raise StepError(f"opik refuses the telemetry: {said}", code="refused-telemetry")
        case HTTPStatus.CONFLICT if method != "GET":
            raise ConflictError(said)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE if method != "GET":
            raise TooLargeError(said)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise AuthenticationFailed(
                "opik",
                f"opik refuses the credentials: {said}",
                hint="check `tools: opik: api_key` and `workspace`; pending entries are delivered once they are right",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            raise ToolUnavailable(
                "opik",
                f"opik asks for fewer calls: {said}",
                code="rate-limited",
                retry_after=asking.wish(response.headers),
            )
        case HTTPStatus.NOT_FOUND if method == "GET" and is_own_error(body):
            raise ToolUnavailable("opik", f"opik does not have it: {said}", code="not-there")
        case _ if status < 300 or status == HTTPStatus.NOT_FOUND:
            raise asking.wrong_server("opik", f"it answers {said}", SETTING)
        case _ if status < 400:
            target = response.headers.get("location", "nowhere")
            raise asking.wrong_server("opik", f"it redirects to {target[:200]} (HTTP {status})", SETTING)
        case _:
            raise ToolUnavailable("opik", f"opik does not accept telemetry: {said}")


def is_own_error(body: Any) -> bool:
    """Return True for the documents in which Opik describes an invalid request."""
    if not isinstance(body, dict):
        return False
    listed = isinstance(body.get("errors"), list) and bool(body["errors"])
    return listed or (isinstance(body.get("code"), int) and isinstance(body.get("message"), str))


def _document(response: httpx.Response) -> Any:
    """Return the JSON of a response with a JSON content type; None for any other."""
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None
