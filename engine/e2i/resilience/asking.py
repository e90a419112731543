"""Check that an HTTP server is reachable, without importing a tool. In: a URL. Out: the response.

The request has no credentials, follows no redirect and reads little. Its connection ends when its time is over, also
one on which a byte arrives now and then.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPException
from urllib.parse import urlsplit

from msgspec import Struct

from e2i.errors import ToolUnavailable
from e2i.resilience.handles import connected, ended_after

WITHIN = 3.0
"""Timeout of the request in seconds."""
MOST = 64 << 10
"""Number of bytes of a response that are read."""
LONGEST_WISH = 60.0
"""Longest pause in seconds that a server may request before the next call."""


class Answer(Struct, frozen=True):
    """Response of a server: status, headers by their lower-case names, and the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, *, within: float = WITHIN) -> Answer:
    """Returns the response to a GET. Raises OSError or HTTPException when there is none ``within`` so many seconds."""
    parts = urlsplit(url)
    assert parts.hostname is not None, url
    with ended_after(within) as keep, connected(url, within, ssl._create_unverified_context, keep) as connection:
        # unverified: nothing is sent, and the tool's own calls verify
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read(MOST))


def check(tool: str, url: str, *, setting: str) -> None:
    """Raises ToolUnavailable when nothing answers at the URL, or the response cannot be the tool's.

    Whether the tool accepts data is decided by the tool's own responses. ``setting`` is the one with the URL.
    """
    try:
        answer = ask(url)
    except (OSError, HTTPException, ValueError) as error:
        raise ToolUnavailable(
            tool,
            f"{tool} does not answer at {url}: {error or type(error).__name__}",
            hint=f"start it, or correct {setting} in config/",
        ) from error
    if answer.status == 429:
        raise ToolUnavailable(
            tool, f"{tool} asks for fewer calls (HTTP 429)", code="rate-limited", retry_after=wish(answer.headers)
        )
    if answer.status >= 500:
        raise ToolUnavailable(tool, f"{tool} is failing: HTTP {answer.status} from {url}")
    if 300 <= answer.status < 400:
        raise wrong_server(tool, f"{url} redirects to {answer.headers.get('location', 'nowhere')[:200]}", setting)


def wish(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a ``Retry-After`` requests, at most ``LONGEST_WISH``; None without one."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), LONGEST_WISH) if text.isascii() and text.isdigit() else None


def wrong_server(tool: str, said: str, setting: str) -> ToolUnavailable:
    """Returns the error for a response that is not the tool's: a login page, a proxy, another program."""
    return ToolUnavailable(
        tool,
        f"the server is not {tool}: {said}",
        code="wrong-server",
        hint=f"correct {setting} in config/, or check the proxy in front of {tool}; nothing is lost meanwhile",
    )
