"""A proxy in front of a real server, whose answers can be turned off or down to a drip in the middle of a conversation."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal

Flow = Literal["flowing", "silent", "dripping"]
DRIP = 1.0
"""Seconds between two bytes."""


class Faucet:
    """``port`` leads to the server at another port of the loopback device.

    ``silent``: connections stay open and are accepted, and nothing is passed on. ``dripping``: what the server answers
    is passed on, one byte a second.
    """

    def __init__(self, target: int) -> None:
        self.flow: Flow = "flowing"
        self._target = target
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
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


@contextlib.contextmanager
def faucet(target: int) -> Iterator[Faucet]:
    made = Faucet(target)
    try:
        yield made
    finally:
        made.close()
