"""Both transports with the real client: standard input and output, and HTTP with a token."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from agents import SPEC, Agent, Calls
from e2i.errors import BadInput, Refused
from e2i.mcp import http
from project import held_port, until

TOKEN = "t" * 40


def test_a_client_on_standard_input_and_output_is_answered(agent: Agent) -> None:
    async def talk(call: Calls) -> None:
        assert len((await call.client.list_tools()).tools) == 10
        assert (await call("check", spec=SPEC))["valid"] is True

    agent.talk_by_stdio(talk)


def test_a_client_by_http_needs_the_token_and_a_host_of_this_machine(agent: Agent) -> None:
    agent.write("token", TOKEN).chmod(0o600)

    async def talk(url: str) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=headers) as given:
            async with Client(streamable_http_client(url, http_client=given)) as client:
                assert (await Calls(client)("check", spec=SPEC))["valid"] is True
            for wrong in ({"authorization": "Bearer x"}, {"authorization": ""}):
                assert (await given.post(url, json={}, headers=wrong)).status_code == 401
            for foreign in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
                assert (await given.post(url, json={}, headers=foreign)).status_code in (403, 421)

    with held_port() as port:
        url = f"http://127.0.0.1:{port}/mcp"
        process = agent.start("mcp", "--http", f"127.0.0.1:{port}", "--token-file", "token")
        try:
            assert until(lambda: _answers(url))
            anyio.run(talk, url)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def test_other_addresses_and_tokens_that_others_know_are_refused(tmp_path: Path) -> None:
    for text in ("0.0.0.0:80", "example.com:80", "127.0.0.1", "127.0.0.1:0", ":80"):
        with pytest.raises(BadInput):
            http.address(text)
    assert http.address("[::1]:8080") == ("::1", 8080)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    with pytest.raises(Refused, match="others may read"):
        http.token(file)
    file.chmod(0o600)
    assert http.token(file) == TOKEN
    file.write_text("short")
    with pytest.raises(Refused, match="fewer than"):
        http.token(file)


def _answers(url: str) -> bool:
    try:
        return httpx2.post(url, json={}).status_code == 401
    except httpx2.TransportError:
        return False
