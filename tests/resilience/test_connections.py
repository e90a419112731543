"""Connections to an address are ended, and nothing else: a thread that waits for one goes on at once."""

from __future__ import annotations

import os
import socket
import threading

from e2i.resilience import connections


def test_who_waits_for_a_silent_server_goes_on_when_its_connection_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as other:
        waiting = socket.create_connection(silent.getsockname())
        kept = socket.create_connection(other.getsockname())
        heard: list[bytes] = []
        thread = threading.Thread(target=lambda: heard.append(waiting.recv(1)), daemon=True)
        thread.start()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        assert connections.cut(silent.getsockname()) == 1
        thread.join(60)
        assert heard == [b""]
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        accepted, _ = other.accept()
        kept.sendall(b"x")
        assert accepted.recv(1) == b"x"
        for connection in (waiting, kept, accepted):
            connection.close()


def test_a_connection_that_nobody_accepts_is_cut_as_well() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue = [socket.socket() for _ in range(8)]
        for connection in queue:
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        assert connections.cut(full.getsockname()) == len(queue)
        for connection in queue:
            connection.close()
