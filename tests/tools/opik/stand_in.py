"""An Opik server on loopback: the protocol of ``LocalBackend`` over real sockets, and able to misbehave on demand."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from e2i.tools.opik.local_answers import Answer
from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.request_bodies import read_body

Mood = Literal["well", "failing", "silent", "refusing", "unauthorized", "cutting"]


class StandIn:
    """``mood`` says how it answers: 500 while ``failing``, 400 while ``refusing``, never while ``silent``; while
    ``cutting`` it does what it is asked, and then often drops the connection before it answers.
    """

    def __init__(self, path: Path) -> None:
        self.backend = LocalBackend(path)
        self.mood: Mood = "well"
        self.requests: Counter[str] = Counter()
        self.cuts = 0
        self._chance = random.Random(3)
        self.keys: set[str | None] = set()
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._held = socket.socket()  # as long as it is bound, nobody else gets the port
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self._port: int = self._held.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api"

    def start(self) -> None:
        """Begins to listen; after ``stop`` on the same port again."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._stopped.clear()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Ends every answer that is still due and refuses connections."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        """Stops for good."""
        self.stop()
        self._held.close()

    def answer(self, method: str, path: str, content: bytes, encoding: str | None) -> Answer | None:
        path, _, query = path.partition("?")
        self.requests[f"{method} {path}"] += 1
        match self.mood:
            case "failing":
                return Answer(500, b'{"errors":["out of memory"]}')
            case "refusing":
                return Answer(400, b'{"errors":["no such field"]}')
            case "unauthorized":
                return Answer(401, b'{"errors":["bad key"]}')
            case "silent":
                self._stopped.wait(30)
                return None
        body = dict(parse_qsl(query)) if method == "GET" else read_body(content, encoding)
        answer = self.backend.answer(method, path.removeprefix("/api/"), body)
        if self.mood == "cutting" and self._chance.random() < 0.5:
            self.cuts += 1
            return None
        return answer


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            stand_in.keys.add(self.headers.get("authorization"))
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            reported = stand_in.answer(self.command, self.path, content, self.headers.get("content-encoding"))
            if reported is None:
                self.close_connection = True
                return
            self.send_response(reported.status)
            self.send_header("content-type", reported.media_type)
            if reported.location:
                self.send_header("location", reported.location)
            if reported.status != 204:
                self.send_header("content-length", str(len(reported.content)))
            self.end_headers()
            self.wfile.write(reported.content)

        do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    return Handler
