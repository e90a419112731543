"""A tracker that repeats the credentials of each request in its answer, in many encodings, as a debugging proxy does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "raw": str,
    "reversed": lambda text: text[::-1],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "%" + text.encode().hex("%"),
    "quoted": lambda text: quote(text, safe=""),
}
HEALTHY = ("/health", "/api/is-alive/ver")


class Echo:
    """Refuses every request, with what its header ``authorization`` says in all encodings."""

    def __init__(self) -> None:
        self.status = 400
        self.heard: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, authorization: str) -> bytes:
        self.heard.add(authorization)
        told = f"refused {authorization}: " + " ".join(
            encode(part) for part in (authorization, authorization.split(" ")[-1]) for encode in ENCODINGS.values()
        )
        return json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": told, "errors": [told]}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def forms(secret: str) -> set[str]:
    """What must be found nowhere: the secret in all encodings."""
    return {encode(secret) for encode in ENCODINGS.values()}


def _handler(echo: Echo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            is_fine = self.path.partition("?")[0].endswith(HEALTHY)
            body = b'{"version": "2.2"}' if is_fine else echo.answer(self.headers.get("authorization") or "nobody")
            self.send_response_only(200 if is_fine else echo.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.send_header("x-authorization", self.headers.get("authorization") or "")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    return Handler
