"""A server behind a connection that flaps: it passes on, refuses, is silent, or breaks off, each for a moment."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator

MODES = ("passing", "refusing", "silent", "breaking off")


class Flapping:
    """A port on the loopback device that leads to ``backend`` as long as its mode is ``passing``."""

    def __init__(self, backend: int) -> None:
        self._backend = backend
        self._mode = "passing"
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._listen(0)
        assert self._listener is not None
        self.port: int = self._listener.getsockname()[1]

    def become(self, mode: str) -> None:
        """Change the mode. Connections of the mode before are cut, as by a server that dies."""
        self._mode = mode
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if mode == "refusing":
            self._close()
        elif self._listener is None:
            self._listen(self.port)

    def flap(self, seconds: float, chance: random.Random, longest: float = 3.0) -> None:
        """Change the mode at random moments for so long, and then pass on."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.become(chance.choice(MODES))
            time.sleep(chance.uniform(0.2, longest))
        self.become("passing")

    def close(self) -> None:
        self.become("refusing")

    def _listen(self, port: int) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        mode = self._mode
        with self._held(connection):
            if mode == "silent":
                with contextlib.suppress(OSError):
                    while connection.recv(65536):
                        pass
                return
            try:
                backend = socket.create_connection(("127.0.0.1", self._backend), timeout=10)
            except OSError:
                return
            backend.settimeout(None)
            with self._held(backend):
                back = threading.Thread(target=self._pump, args=(backend, connection, None), daemon=True)
                back.start()
                # a request is passed on whole, but its answer is lost
                self._pump(connection, backend, connection if mode == "breaking off" else None)
                back.join(30)

    def _pump(self, source: socket.socket, target: socket.socket, cut: socket.socket | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if cut is not None:
                    time.sleep(0.2)
                    cut.shutdown(socket.SHUT_RDWR)
                    return
            target.shutdown(socket.SHUT_WR)

    @contextlib.contextmanager
    def _held(self, connection: socket.socket) -> Iterator[None]:
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)
            connection.close()
