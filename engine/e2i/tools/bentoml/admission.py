"""Decide by its headers whether an endpoint takes a request. In: a request. Out: a refusal, or none.

Nothing of the body has been read then. What is taken has one reading only: a path of the service, headers in UTF-8, and
no header that the service needs among those that end with the connection.
"""

from __future__ import annotations

import re

from aiohttp import web
from msgspec import Struct

from e2i.tools.bentoml import callers

LARGEST = 256 << 20
"""Maximum size in bytes of a request's body."""
TARGET = re.compile(r"/[!\"$-~]*")
"""A target in origin form: a path, and a query. Another form would name another server."""
READ, ASK = ("GET", "HEAD"), ("POST",)
ROUTES = {
    **dict.fromkeys(("/", "/docs.json", "/schema.json", "/metrics", *callers.PROBES), READ),
    **dict.fromkeys(("/predict", "/metadata"), ASK),
}
"""The paths of a service (``template.py``, and BentoML's own), each with its methods."""
STATIC = re.compile(r"/static_content/[A-Za-z0-9_-][A-Za-z0-9._-]*")
OF_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "content-length", "expect")
)  # fmt: skip
"""Headers that hold for one connection, or that are written again."""
OF_MESSAGE = re.compile(
    r"host|origin|referer|cookie|authorization|user-agent|cache-control|date|range|via|forwarded|"
    r"(accept|content|sec|if|e2i|x-forwarded)(-.*)?"
)
"""Headers that reach the service: no connection ends them, whatever ``Connection`` says."""


class Refusal(Struct, frozen=True):
    """Why a request is not taken: the status and the text of the answer, and the methods that the path has."""

    status: int
    reason: str
    allowed: tuple[str, ...] = ()


def refusal(request: web.BaseRequest) -> Refusal | None:
    """Return why the request is refused; None for one that is taken."""
    return _misread(request) or _foreign(request) or _unserved(request)


def path_of(request: web.BaseRequest) -> str:
    """Return the path of a request's target, as it was sent."""
    return request.raw_path.partition("?")[0]


def named(headers: list[str]) -> set[str]:
    """Return the names that ``Connection`` headers have, in lower case."""
    return {name.strip().lower() for value in headers for name in value.split(",")}


def _misread(request: web.BaseRequest) -> Refusal | None:
    """Return why two servers could read the request differently."""
    if not TARGET.fullmatch(request.raw_path):
        return Refusal(400, "the target must be a path that starts with /")
    ends = named(request.headers.getall("Connection", []))
    kept = sorted(name for name in ends if name not in OF_CONNECTION and OF_MESSAGE.fullmatch(name))
    if kept:
        return Refusal(400, f"Connection names {', '.join(kept)[:80]}, which belongs to the request")
    if "upgrade" in ends and "websocket" in request.headers.get("Upgrade", "").lower():
        return Refusal(400, "the service has no WebSocket")
    if any(value.strip().lower() != "chunked" for value in request.headers.getall("Transfer-Encoding", [])):
        return Refusal(501, "the only transfer encoding is chunked")
    try:
        for _, value in request.raw_headers:
            value.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal(400, "the values of headers must be UTF-8")
    return None


def _foreign(request: web.BaseRequest) -> Refusal | None:
    refused = callers.refusal(request.method, path_of(request), request.raw_headers)
    if refused is None:
        return None
    if refused[0] == 421:
        return Refusal(421, f"unknown host name; an endpoint answers to {', '.join(callers.LOCAL)}")
    return Refusal(*refused)


def _unserved(request: web.BaseRequest) -> Refusal | None:
    path = path_of(request)
    methods = READ if STATIC.fullmatch(path) else ROUTES.get(path, ())
    if not methods:
        return Refusal(404, "no such path")
    if request.method not in methods:
        return Refusal(405, f"the methods of this path: {', '.join(methods)}", methods)
    if (request.content_length or 0) > LARGEST:
        return Refusal(413, f"a body has at most {LARGEST >> 20} MiB")
    return None
