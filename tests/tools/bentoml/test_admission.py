"""Which requests an endpoint takes, over raw sockets: the answer comes before the body, and no server is asked."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from aiohttp import web

from e2i.tools.bentoml import admission, front, proxy
from routed_endpoint import Group, connected, echo, request, routed, run, sent, serving

TYPE = "Content-Type: application/json"
BODY = "Content-Length: 100000000"
"""Announced, and never sent: an answer shows that nobody waits for it."""


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "LINGER", 0.02)


def refused(*requests: bytes, status: int) -> None:
    """Each request is answered with the status, its connection is closed, and no replica or other server is asked."""

    async def work() -> None:
        asked: list[str] = []

        async def note(got: web.BaseRequest) -> web.StreamResponse:
            asked.append(got.raw_path)
            return web.Response()

        async with serving(note) as other, routed((Group("hcp:v1", other), 100.0)) as (_, url):
            port = other.rpartition(":")[2].encode()
            for each in requests:
                answer = await sent(url, each.replace(b"PORT", port))
                assert answer.split()[1] == b"%d" % status, (each, answer[:200])
                assert len(re.findall(rb"^HTTP/1\.", answer, re.MULTILINE)) == 1
        assert asked == []

    run(work)


def test_a_target_that_could_name_another_server_is_refused() -> None:
    refused(
        *(
            request(f"{method} {target}", TYPE)
            for method, target in (
                ("CONNECT", "@127.0.0.1:PORT"),
                ("CONNECT", "127.0.0.1:PORT"),
                ("CONNECT", "x:y@127.0.0.1:PORT"),
                ("GET", "@127.0.0.1:PORT/metrics"),
                ("GET", "http://127.0.0.1:PORT/metrics"),
                ("GET", "http://x@127.0.0.1:PORT/metrics"),
                ("POST", "https://127.0.0.1/predict"),
                ("OPTIONS", "*"),
                ("GET", "*"),
                ("GET", "/metrics#x"),
                ("GET", "/metrics?\xff"),
            )
        ),
        status=400,
    )


def test_what_the_service_has_no_path_for_is_refused() -> None:
    paths = ("//127.0.0.1:PORT/metrics", "/x", "/predict/", "/predict/submit", "/%70redict", "/../predict", "/;a@b:1",
             "/static_content/../metrics", "/static_content/.env", "/static_content/a/b", "/docs.json/x")  # fmt: skip
    refused(*(request(f"GET {path}") for path in paths), status=404)
    refused(request("POST /shutdown", TYPE, BODY), status=404)


def test_the_methods_that_a_path_does_not_have_are_refused() -> None:
    cases = [("GET", "/predict"), ("PUT", "/predict"), ("DELETE", "/metadata"), ("POST", "/metrics"), ("POST", "/livez"),
             ("PATCH", "/"), ("OPTIONS", "/predict"), ("TRACE", "/docs.json")]  # fmt: skip
    refused(*(request(f"{method} {path}", TYPE) for method, path in cases), status=405)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, ["Origin: http://evil.example"]),
        (403, ["Origin: null"]),
        (403, ["Origin: http://127.0.0.1", "Origin: http://evil.example"]),
        (403, ["Sec-Fetch-Site: cross-site"]),
        (403, ["Sec-Fetch-Site: same-site"]),
        (415, []),
        (415, ["Content-Type: text/plain"]),
        (415, ["Content-Type: text/plain; x=application/json"]),
    ],
)
def test_a_foreign_request_is_refused_before_its_body(status: int, headers: list[str]) -> None:
    kind = [] if status == 415 else [TYPE]
    refused(request("POST /predict", *kind, *headers, BODY), status=status)
    refused(request("POST /predict", *kind, *headers, "Transfer-Encoding: chunked"), status=status)
    if status == 403:
        paths = ("/", "/docs.json", "/metrics", "/static_content/index.css", "/x")
        refused(*(request(f"GET {path}", *headers) for path in paths), status=status)
    if "Origin" in str(headers):
        refused(request("GET /livez", *headers), status=status)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "evil@127.0.0.1", "localhost.evil:80"])
def test_another_host_name_is_refused(host: str) -> None:
    refused(request("POST /predict", TYPE, BODY, host=host), request("GET /metrics", host=host), status=421)


def test_no_host_and_two_hosts_are_refused() -> None:
    refused(b"GET /metrics HTTP/1.0\r\n\r\n", status=421)

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            answer = await sent(url, request("GET /metrics", "Host: evil.example"))
            assert answer.split()[1] in (b"400", b"421")

    run(work)


@pytest.mark.parametrize(
    "name", ["Host", "host", "Origin", "Sec-Fetch-Site", "Content-Type", "E2I-Key", "Cookie", "Authorization"]
)
@pytest.mark.parametrize("form", ["{}", "close, {}", "keep-alive,\t{} ", "x\r\nConnection: {}"])
def test_a_header_of_the_request_cannot_be_named_as_one_of_the_connection(name: str, form: str) -> None:
    refused(request("POST /predict", TYPE, BODY, f"Connection: {form.format(name)}"), status=400)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (413, [f"Content-Length: {admission.LARGEST + 1}"]),
        (400, ["Content-Length: 1", "Connection: Upgrade", "Upgrade: websocket"]),
        (400, ["Content-Length: 1", "E2I-Key: \xff"]),
        (400, ["Content-Length: 1", "X-Own: \xe9"]),
        (501, ["Transfer-Encoding: gzip, chunked"]),
        (400, [f"Content-Length: {'9' * 40}"]),
        (400, ["Content-Length: -1"]),
    ],
)
def test_what_cannot_be_passed_on_is_refused_before_its_body(status: int, headers: list[str]) -> None:
    refused(request("POST /predict", TYPE, *headers), status=status)


def test_what_is_no_mistake_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    cases = [
        request("POST /predict", TYPE, "Content-Length: 0", "E2I-Key: \xc3\xa9"),
        request("POST /metadata?a=%2F&b=//@x:1", "Content-Type: application/json; charset=utf-8", "Content-Length: 0"),
        request("GET /static_content/index.css", host="LOCALHOST:80"),
        request("HEAD /docs.json", host="[::1]:3000"),
        request("GET /metrics", "Origin: http://127.0.0.1:9", "Sec-Fetch-Site: same-origin", host="127.0.0.1:9"),
        request("GET /schema.json", "Connection: close, X-Own", "X-Own: 1"),
    ]

    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            for each in cases:
                answer = await sent(url, each)
                assert answer.startswith(b"HTTP/1.1 200 "), (each, answer)
                assert b"X-Path: " + each.split()[1] in answer and b"Host" in answer
            assert b" 200 " in await sent(url, request("GET /readyz", host="10.0.0.7:3000"))

    run(work)
    assert not [record for record in caplog.records if record.name.startswith(("e2i", "aiohttp", "asyncio"))]


def test_a_client_that_asks_first_learns_by_its_headers_whether_to_send_its_body() -> None:
    async def work() -> None:
        async with serving(echo) as replica, routed((Group("hcp:v1", replica), 100.0)) as (_, url):
            reader, writer = await connected(url)
            writer.write(request("POST /predict", TYPE, "Content-Length: 4", "Expect: 100-continue"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"rows")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"rows")
            writer.close()
            answer = await sent(url, request("POST /predict", "Content-Length: 4", "Expect: 100-continue"))
            assert answer.startswith(b"HTTP/1.1 415 ")

    run(work)


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_no_target_changes_which_server_is_asked(rest: str) -> None:
    class Got:
        raw_path = f"/{rest}"

    assume(admission.TARGET.fullmatch(Got.raw_path))
    member: Any = Group("hcp:v1", "http://127.0.0.1:4711").members[0]
    address = proxy._address(member, Got())  # type: ignore[arg-type]
    assert (address.host, address.port, address.user) == ("127.0.0.1", 4711, None)
    assert address.raw_path_qs.removesuffix("?") == Got.raw_path.removesuffix("?")


def test_answers_come_at_once_also_while_all_replicas_are_away() -> None:
    async def work() -> None:
        async with routed((Group("hcp:v1", None), 100.0)) as (_, url), asyncio.timeout(proxy.WAITS / 2):
            assert b" 415 " in await sent(url, request("POST /predict", BODY))

    run(work)
