"""Files from a real HTTP server on this machine: content, limits, redirects, addresses, errors."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import AuthenticationFailed, BadInput, Refused, StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.data import LoadParams
from e2i.tools.data import actions as data
from e2i.tools.remote import GetParams, actions, addresses
from e2i.tools.remote import Settings as RemoteSettings

CSV = b"id,x\n1,0.5\n2,1.5\n"


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what was asked."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Authorization"), self.headers.get("Host")))
        name = self.path.removeprefix("/files/")
        if name.startswith("status-"):
            self.send_response(int(name.removeprefix("status-")))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name.startswith("to-"):
            self.send_response(302)
            self.send_header(
                "Location", {"to-near": "/files/a.csv", "to-itself": "/files/to-itself"}.get(name, server.elsewhere)
            )
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name == "short":
            self._send(CSV, length=len(CSV) + 10)
        elif name == "slow":
            self.send_response(200)
            self.end_headers()
            while server.is_slow:
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.02)
        elif name == "endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x" * 100_000)
        elif name.startswith("encoded"):
            self._send(gzip.compress(CSV), coding="gzip")
        else:
            self._send(gzip.compress(CSV) if name.endswith(".gz") else CSV)

    def _send(self, body: bytes, length: int | None = None, coding: str | None = None) -> None:
        self.send_response(200)
        if coding:
            self.send_header("Content-Encoding", coding)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.elsewhere, made.is_slow = [], "http://localhost:1/x", True
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.is_slow = False
    made.shutdown()
    made.server_close()


@pytest.fixture
def ctx(tmp_path: Path, server: Any) -> Iterator[LocalContext]:
    root = f"http://127.0.0.1:{server.server_port}/files"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
    place: dict[str, Any] = {"kind": "https", "root": root, "private": True}
    locations = {
        "here": {**place, "token": "canary-token", "max_bytes": 1_000_000},
        "public": {**place, "root": f"https://127.0.0.1:{server.server_port}/files", "private": False},
        "hasty": {**place, "timeout": 0.5},
        "down": {**place, "root": f"http://127.0.0.1:{nobody}"},
    }
    made = LocalContext(tmp_path, settings=Settings(tools={"remote": {"deadline": 5, "locations": locations}}))
    yield made
    made.close()


def get(ctx: LocalContext, key: str, location: str = "here", **params: Any) -> Any:
    return actions.get(GetParams(location=location, key=key, **params), ctx).file


@pytest.mark.parametrize("key", ["a.csv", "deep/er/a b?#ü.csv", "a.csv.gz"])
def test_a_file_is_taken_and_read_as_a_table(ctx: LocalContext, server: Any, key: str) -> None:
    file = get(ctx, key)
    body = ctx.open(file).read_bytes()
    assert file.digest == f"sha256:{hashlib.sha256(body).hexdigest()}" and file.bytes == len(body)
    assert server.asked[0][1] == "Bearer canary-token" and server.asked[0][2] == f"127.0.0.1:{server.server_port}"
    table = data.load(LoadParams(stored=file), ctx).table
    assert ctx.arrow(table).to_pydict() == {"id": [1, 2], "x": [0.5, 1.5]}


def test_a_digest_pins_the_content(ctx: LocalContext) -> None:
    digest = f"sha256:{hashlib.sha256(CSV).hexdigest()}"
    assert get(ctx, "a.csv", digest=digest).digest == digest
    with pytest.raises(StepError) as other:
        get(ctx, "b.csv", digest=f"sha256:{'0' * 64}")
    assert other.value.code == "digest-mismatch" and digest in other.value.message


def test_content_that_the_server_encodes_unasked_is_refused(ctx: LocalContext, server: Any) -> None:
    with pytest.raises(StepError, match=r"sends /files/encoded\.csv encoded as gzip") as refused:
        get(ctx, "encoded.csv")
    assert refused.value.code == "remote-refused"
    assert gzip.decompress(ctx.open(get(ctx, "encoded.csv.gz")).read_bytes()) == CSV


def test_redirects_lead_to_the_same_server_only(ctx: LocalContext, server: Any) -> None:
    assert get(ctx, "to-near").bytes == len(CSV)
    for elsewhere in ("http://localhost:1/x", "https://127.0.0.1/x", "//example.com/x", "file:///etc/passwd", ""):
        server.elsewhere = elsewhere
        asked = len(server.asked)
        with pytest.raises(StepError) as refused:
            get(ctx, "to-elsewhere")
        assert refused.value.code == "bad-redirect" and len(server.asked) <= asked + 6
    with pytest.raises(StepError, match="more than 5 times"):
        get(ctx, "to-itself")


@pytest.mark.parametrize(
    ("key", "error", "code"),
    [
        ("status-404", StepError, "no-such-file"), ("status-418", StepError, "remote-refused"), ("status-206", StepError, "remote-refused"),
        ("status-401", AuthenticationFailed, "tool-auth"), ("status-503", ToolUnavailable, "tool-unavailable"), ("short", ToolUnavailable, "tool-unavailable"),
        ("endless", StepError, "download-too-large"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(ctx: LocalContext, key: str, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as raised:
        get(ctx, key)
    assert raised.value.code == code and "canary" not in str(raised.value)  # type: ignore[attr-defined]


def test_a_slow_server_and_one_that_is_down_are_outages(ctx: LocalContext) -> None:
    started = time.monotonic()
    with pytest.raises(ToolUnavailable) as slow:
        get(ctx, "slow", "hasty")
    assert slow.value.code == "deadline-missed" and time.monotonic() - started < 30
    for number in range(6):
        with pytest.raises(ToolUnavailable) as down:
            get(ctx, "a.csv", "down")
        assert (down.value.code == "circuit-open") == (number == 5)
    assert get(ctx, "a.csv").bytes == len(CSV)  # another location has its own circuit


def test_private_addresses_are_refused_before_anything_is_sent(ctx: LocalContext, server: Any) -> None:
    with pytest.raises(Refused) as refused:
        get(ctx, "a.csv", "public")
    assert refused.value.code == "private-address" and server.asked == []
    with pytest.raises(BadInput, match="no location"):
        get(ctx, "a.csv", "http://127.0.0.1/")


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("0.0.0.0", False),
        ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("8.8.8.8", True), ("2606:4700::1111", True),
    ],
)  # fmt: skip
def test_addresses_that_are_not_on_the_internet_are_recognized(address: str, is_public: bool) -> None:
    assert addresses.is_public(address) == is_public


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "a/", ".", "a\\b", "a\nb", "a\x00"])
def test_keys_stay_below_the_root(key: str) -> None:
    with pytest.raises(ValidationError):
        GetParams(location="here", key=key)


@pytest.mark.parametrize(
    "place",
    [
        {"kind": "https", "root": "http://example.com"}, {"kind": "https", "root": "https://user:pw@example.com"},
        {"kind": "https", "root": "https://example.com/?a=1"}, {"kind": "https", "root": "ftp://example.com", "private": True},
        {"kind": "https", "root": "https://example.com", "read_only": False}, {"kind": "s3", "root": "s3://bucket"},
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(place: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"settings of remote: locations\.x"):
        RemoteSettings(locations={"x": place})  # type: ignore[dict-item]  # read by pydantic
