"""A server that sends a byte now and then holds neither a caller nor a connection longer than the deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2i.resilience import asking
from e2i.resilience.deadlines import MissedDeadlineError
from project import Stopwatch

ANSWERS = {
    "http": b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100_000,
    "https": b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0" + b"\x00" * 100_000,  # a handshake record that does not end
}


@contextmanager
def dripping(text: bytes) -> Iterator[tuple[int, threading.Event]]:
    """A server's port, and an event that is set when its client has gone."""
    gone = threading.Event()

    def serve() -> None:
        with server.accept()[0] as connection:
            connection.settimeout(0.05)
            for sent in range(len(text)):
                try:
                    connection.send(text[sent : sent + 1])
                    if connection.recv(1 << 16) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], gone


@pytest.mark.parametrize("scheme", ANSWERS)
def test_a_dripping_server_is_left_at_the_deadline(scheme: str) -> None:
    with dripping(ANSWERS[scheme]) as (port, gone):
        with Stopwatch() as watch, pytest.raises(MissedDeadlineError, match=r"no answer within 0\.3 s"):
            asking.ask(f"{scheme}://127.0.0.1:{port}/health", within=0.3)
        assert watch.seconds < 2
        assert gone.wait(20)
