"""Servers that are no good: what a tool's address may lead to when the tool is not there."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

KINDS = ("refusing", "silent", "never accepting", "dripping", "dripping slowly", "garbage")

OPENINGS = {
    "http": b"HTTP/1.1 200 OK\r\nX-Filler: ",
    "postgresql": b"NR\x00\x00\x03\xe8",
    "redis": b"+",
}
"""How an answer begins that never comes to its end."""
GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 4
"""A TLS handshake, where none was asked for."""
PAUSE = 0.1
"""Seconds between two bytes: shorter than any timeout of a client for a single read."""
SECOND = 1.0
"""The same for a server that drips slowly."""


@contextlib.contextmanager
def unwell(kind: str, protocol: str) -> Iterator[int]:
    """The port of a server on the loopback device that behaves in one of ``KINDS``."""
    over = threading.Event()
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if kind == "never accepting":
            listener.listen(0)
            for _ in range(3):  # the queue is full, and stays so
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(("127.0.0.1", port))
        elif kind != "refusing":
            listener.listen(64)
            threading.Thread(target=_accept, args=(listener, kind, protocol, over), daemon=True).start()
        try:
            yield port
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, kind: str, protocol: str, over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, kind, protocol, over), daemon=True).start()


def _answer(connection: socket.socket, kind: str, protocol: str, over: threading.Event) -> None:
    with connection, contextlib.suppress(OSError):
        if kind == "silent":
            over.wait()
            return
        connection.recv(65536)
        if kind == "garbage":
            connection.sendall(GARBAGE)
            return
        for byte in OPENINGS[protocol]:
            connection.sendall(bytes([byte]))
            if over.wait(PAUSE / 4):
                return
        while not over.wait(PAUSE if kind == "dripping" else SECOND):
            connection.sendall(b"a")
