"""A proxy in front of a real server, whose answers can be turned off or down to a drip in the middle of a conversation."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Literal

Flow = Literal["flowing", "silent", "dripping"]
DRIP = 1.0
"""Seconds between two bytes."""


class Faucet:
    """``port`` leads to the server at another port of the loopback device.

    ``silent``: connections stay open and are accepted, and nothing is passed on. ``dripping``: what the server answers
    is passed on, one byte a second. ``cut`` resets connections.
    """

    def __init__(self, target: int) -> None:
        self.flow: Flow = "flowing"
        self._target = target
        self._open: list[socket.socket] = []
        self._cuts = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, further: int = 0) -> None:
        """Resets all open connections, and as many further ones when they are first used."""
        self._cuts = further
        for client in self._open:
            _reset(client)
        self._open.clear()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
                if self._cuts:
                    self._cuts -= 1
                    client.recv(1)
                    _reset(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open.append(client)
            for source, target, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, target, answers), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if self.flow == "silent":
                    self._over.wait()
                if self.flow == "dripping" and answers:
                    for byte in data:
                        if self._over.wait(DRIP):
                            return
                        target.sendall(bytes([byte]))
                else:
                    target.sendall(data)
        except OSError:  # one side has closed the connection
            pass
        finally:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def _reset(connection: socket.socket) -> None:
    """Ends a connection as a crash of the other side would: the client reads ECONNRESET."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(
            socket.SHUT_RD
        )  # the thread that reads from it ends, and the last descriptor is closed here
    connection.close()


@contextlib.contextmanager
def faucet(target: int) -> Iterator[Faucet]:
    made = Faucet(target)
    try:
        yield made
    finally:
        made.close()
