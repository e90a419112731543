"""Accept connections to an endpoint, within limits. In: a handler of requests. Out: a server of aiohttp."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

MOST = 512
"""Maximum number of connections. Others are answered with 503."""
IDLE = 30.0
"""Seconds until a connection without a whole request is closed: one that is idle, or whose headers do not arrive."""
LINGER = 2.0
"""Seconds for which what follows a refused request is read and dropped, so that its client can read the answer."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b'Content-Length: 33\r\n\r\n{"error": "too many connections"}'
)
"""The answer to a connection above the limit."""


class Front(web.Server):
    """A server that holds at most ``most`` connections (None: as many as its open files allow), none of them idle."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], most: int | None = None
    ) -> None:
        logger = logging.getLogger(__name__)
        logger.addFilter(_is_own)
        super().__init__(
            handler,
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            auto_decompress=False,  # bodies pass as they were sent
            logger=logger,
        )
        self.most = _allowed() if most is None else most

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Answer a connection above the limit at once; end one far above it without an answer."""
        super().connection_made(handler, transport)
        number = len(self.connections)
        if number <= self.most:
            return
        handler.close()  # takes no request
        if number <= self.most + self.most // 8 + 1:
            transport.write(FULL)
            transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER, transport.abort)
        else:
            transport.abort()


def _is_own(record: logging.LogRecord) -> bool:
    """Return False for what a client did wrong: it is answered, and no line of the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


def _allowed() -> int:
    """Return the number of connections: each needs one open file, and one more for that to a replica."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if files == resource.RLIM_INFINITY else max(min(MOST, (files - 128) * 4 // 9), 8)
