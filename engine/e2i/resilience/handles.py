"""HTTP connections that another thread can end at any moment. In: a URL. Out: a connection, and a handle to end it.

``shutdown`` of a connection's own socket is not enough: TLS moves the descriptor to another object, and during the
handshake nobody has that one yet. So a server that sends a byte now and then could hold a thread forever.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from e2i.resilience.deadlines import MissedDeadlineError


class Handle:
    """A second descriptor of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._own = connection.dup()

    def end(self) -> None:
        """Ends the connection: a thread that reads from it or writes to it gets the end of the stream, or an error."""
        with contextlib.suppress(OSError):  # it has ended, or was closed
            self._own.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._own.close()


@contextlib.contextmanager
def connected(
    url: str, seconds: float, context: Callable[[], ssl.SSLContext], keep: Callable[[Handle], object]
) -> Iterator[HTTPConnection]:
    """Yields a connection to the server of the URL. ``seconds`` bound each read and write; ``keep`` gets the handle as
    soon as there is one. ``context`` is for ``https``. Raises OSError.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    connection = HTTPConnection(host, parts.port or (443 if secure else 80), timeout=seconds)
    connection.default_port = 443 if secure else 80  # no port in the header Host where it is the usual one
    plain = socket.create_connection((host, connection.port), seconds)
    handle = Handle(plain)
    try:
        keep(handle)
        connection.sock = context().wrap_socket(plain, server_hostname=host) if secure else plain
        yield connection
    finally:
        connection.close()
        plain.close()
        handle.close()


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[Callable[[Handle], None]]:
    """Ends the connection whose handle it gets once so many seconds have passed. Raises MissedDeadlineError instead of
    the error that this makes: a connection that the other side has reset would be tried again.
    """
    handles: list[Handle] = []
    over = threading.Event()

    def end() -> None:
        over.set()
        for handle in handles:
            handle.end()

    def keep(handle: Handle) -> None:
        handles.append(handle)
        if over.is_set():
            handle.end()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield keep
    except (OSError, HTTPException) as error:
        if over.is_set():
            raise MissedDeadlineError(f"no answer within {seconds:.3g} s") from error
        raise
    finally:
        timer.cancel()
