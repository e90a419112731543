"""A server that speaks the part of Google Cloud Storage's JSON API that Arrow's client uses. Objects are in memory.

Read and look up an object, and the resumable upload: https://cloud.google.com/storage/docs/json_api/v1/objects.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class GoogleStorage:
    """Listens on the loopback device. ``status``: answer every request with it, as a server does that refuses."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {name: {} for name in buckets}
        self.uploads: dict[str, tuple[str, str, bytes]] = {}
        self.status = 0
        self.puts = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(storage: GoogleStorage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            bucket, _, name = parts.path.removeprefix("/storage/v1/b/").partition("/o/")
            content = storage.buckets.get(bucket, {}).get(unquote(name))
            if storage.status or content is None:
                self._refuse()
            elif parse_qs(parts.query).get("alt") == ["media"]:
                self._answer(200, content, "application/octet-stream")
            else:
                self._answer(200, _about(bucket, unquote(name), content))

        def do_POST(self) -> None:
            about = json.loads(self._body())
            bucket = urlsplit(self.path).path.split("/")[-2]
            if storage.status or bucket not in storage.buckets:
                self._refuse()
                return
            upload = str(len(storage.uploads))
            storage.uploads[upload] = (bucket, about["name"], b"")
            self._answer(200, b"", location=f"{storage.url}{self.path}&upload_id={upload}")

        def do_PUT(self) -> None:
            upload = parse_qs(urlsplit(self.path).query)["upload_id"][0]
            bucket, name, before = storage.uploads[upload]
            content = before + self._body()
            storage.uploads[upload] = (bucket, name, content)
            if not self.headers["content-range"].endswith(f"/{len(content)}"):
                self._answer(308, b"", range=f"bytes=0-{len(content) - 1}")
                return
            storage.buckets[bucket][name] = content
            storage.puts += 1
            self._answer(200, _about(bucket, name, content))

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _refuse(self) -> None:
            status = storage.status or 404
            text = json.dumps({"error": {"code": status, "message": "no"}}).encode()
            self._answer(status, text)

        def _answer(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _about(bucket: str, name: str, content: bytes) -> bytes:
    about: dict[str, Any] = {
        "kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content)), "generation": "1",
    }  # fmt: skip
    return json.dumps(about).encode()
