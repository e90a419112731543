"""A server in front of another one: it passes requests on, or gives one of twenty wrong answers instead."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Speak = Callable[[socket.socket, "Front"], None]
"""What a wrong answer does with a connection whose request was read."""

LOGIN = b"<!doctype html><html><body><form action=/login>Please sign in</form></body></html>"
HEALTHY = ("/health", "/api/is-alive/ver")


def _answer(status: str, body: bytes = b"", *headers: str, kind: str = "application/json") -> Speak:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
    text = "\r\n".join([*lines, "connection: close", "", ""]).encode()
    return lambda connection, front: connection.sendall(text + body)


def _raw(*parts: bytes) -> Speak:
    return lambda connection, front: connection.sendall(b"".join(parts))


def _redirect(connection: socket.socket, front: Front) -> None:
    where = f"location: http://127.0.0.1:{front.port}/again"
    _answer("301 Moved Permanently", b"", where)(connection, front)


def _slow_headers(connection: socket.socket, front: Front) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    front.changed.wait(60)


def _drip(connection: socket.socket, front: Front) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n" + b"{" * 1000:
        connection.sendall(bytes([byte]))
        if front.changed.wait(0.2):
            return


def _huge(connection: socket.socket, front: Front) -> None:
    size = 64 << 20
    connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {size}\r\n\r\n".encode())
    for _ in range(size >> 20):
        connection.sendall(b"x" * (1 << 20))


def _reset(connection: socket.socket, front: Front) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


WRONG: dict[str, Speak] = {
    "login page": _answer("200 OK", LOGIN, kind="text/html"),
    "login page that says JSON": _answer("200 OK", LOGIN),
    "empty": _answer("200 OK"),
    "empty object": _answer("200 OK", b"{}"),
    "half JSON": _answer("200 OK", b'{"run": {"info": {"run_id": "a'),
    "204": _raw(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
    "301 loop": _redirect,
    "302 to another host": _answer("302 Found", b"", "location: http://login.invalid/"),
    "401": _answer("401 Unauthorized", b'{"code":401,"message":"API key should be provided"}'),
    "403": _answer("403 Forbidden", b'{"error_code":"PERMISSION_DENIED","message":"no"}'),
    "404": _answer("404 Not Found", b'{"code":404,"message":"HTTP 404 Not Found"}'),
    "404 page": _answer("404 Not Found", b"<h1>Not Found</h1>", kind="text/html"),
    "400 page": _answer("400 Bad Request", b"<h1>The plain HTTP request was sent to HTTPS port</h1>", kind="text/html"),
    "409": _answer("409 Conflict", b'{"errors":["it is there already"]}'),
    "413": _answer("413 Request Entity Too Large", b"<h1>Too Large</h1>", kind="text/html"),
    "429": _answer("429 Too Many Requests", b'{"errors":["too many"]}', "retry-after: 3600"),
    "500": _answer("500 Internal Server Error", b'{"errors":["out of memory"]}'),
    "502": _answer("502 Bad Gateway", b"<h1>Bad Gateway</h1>", kind="text/html"),
    "huge body": _huge,
    "slow headers": _slow_headers,
    "drip": _drip,
    "close in mid body": _raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\ncontent-type: application/json\r\n\r\n{}"),
    "wrong content length": _raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: -7\r\n\r\n{}"),
    "TLS alert": _raw(bytes([21, 3, 3, 0, 2, 2, 40])),
    "connection reset": _reset,
}


class Front:
    """Passes on to ``backend`` (a port) while ``wrong`` is None.

    Else it lets ``first`` requests through and answers the others wrongly; those for the state of the server it
    answers well itself if that is ``healthy``.
    """

    def __init__(self, backend: int) -> None:
        self.backend = backend
        self.changed = threading.Event()
        """Set when the next answers are others: what is slow ends."""
        self.given = 0
        """How many wrong answers were given."""
        self.longest = 0.0
        self._wrong: Speak | None = None
        self._first = 0
        self._healthy = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, wrong: str | None, *, first: int = 0, healthy: bool = False) -> None:
        self.changed.set()
        self.changed = threading.Event()
        self._wrong, self._first, self._healthy, self.given = (wrong and WRONG[wrong]) or None, first, healthy, 0

    def encrypt(self, certificate: Path, key: Path) -> None:
        """From now on it speaks TLS, with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def close(self) -> None:
        self.changed.set()
        self._server.shutdown()
        self._server.server_close()

    def wrong_for(self, path: str) -> Speak | None:
        """The wrong answer for the next request, if it is to have one."""
        with self._lock:
            if self._wrong is None:
                return None
            if self._healthy and path.endswith(HEALTHY):
                return _answer("200 OK", b'{"version": "2.2"}')
            if self._first > 0:
                self._first -= 1
                return None
            self.given += 1
            return self._wrong


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            wrong = front.wrong_for(self.path.partition("?")[0])
            self.close_connection = True
            if wrong is None:
                self._pass_on(body)
                return
            try:
                wrong(self.connection, front)
            except OSError:  # the client has had enough
                return

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", front.backend, timeout=60)
            sent = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
            connection.request(self.command, self.path, body or None, {**sent, "connection": "close"})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response_only(answer.status)
            for name in ("content-type", "location"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            if answer.status != 204:
                self.send_header("content-length", str(len(content)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    return Handler
