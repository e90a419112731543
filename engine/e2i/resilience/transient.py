"""Recognize failures after which the same call may succeed at once: a lost connection, a server that is restarting.

A refused connection is none of them. It means that nothing listens there, and a step should not wait to learn that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from e2i.errors import AuthenticationFailed, E2IError, MissingDatabase, ToolUnavailable
from e2i.resilience.breaker import CircuitOpen
from e2i.resilience.deadlines import MissedDeadlineError
from e2i.resilience.denial import chain, status_of

TOO_MANY = 429
RESTARTING = frozenset({502, 503, 504})
UNKNOWN = 500
"""A failure of the server itself, or what MLflow's client says when there was no answer: then the cause says more."""
RESETS = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
CLASSES = frozenset({"RemoteProtocolError", "RemoteDisconnected", "ServerDisconnectedError", "ReadError", "WriteError"})
"""Names of exceptions of httpx, http.client and aiohttp for a connection that ended."""
SQLSTATES = ("08003", "08006", "57P01", "57P02", "57P03")
"""PostgreSQL's codes: connection lost, server shutting down, restarting or starting."""
TEXTS = re.compile(
    r"server closed the connection unexpectedly|the connection is lost|[Cc]onnection (closed|reset) by (server|peer)"
    r"|Remote end closed connection|too many 50[234] error responses"
)
"""Messages of libpq, redis and urllib3."""


def pause_before_retry(error: BaseException) -> float | None:
    """Returns the seconds for which the server asked not to be called; None when a retry does not help."""
    for one in chain(error):
        if isinstance(one, (AuthenticationFailed, MissingDatabase, CircuitOpen, MissedDeadlineError)):
            return None  # ending a call at its deadline looks like a reset further down the chain
        if isinstance(one, E2IError) and not isinstance(one, ToolUnavailable):  # the caller's error
            return None
        if isinstance(one, ToolUnavailable) and one.retry_after is not None:
            return one.retry_after
        status = status_of(one)
        if status is not None and status != UNKNOWN:
            return pause_of(status, _headers(one))
        if _is_reset(one):
            return 0.0
    return None


def pause_of(status: int, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds for which an answer with that status asks not to be called; None when a retry does not help.

    Of a server that is restarting it is 0 without a ``Retry-After``. Too many requests need one.
    """
    if status != TOO_MANY and status not in RESTARTING:
        return None
    from e2i.resilience.asking import wish  # with http.client, which most calls do not need

    wanted = wish({name.lower(): value for name, value in headers.items()})
    return wanted if wanted is not None or status == TOO_MANY else 0.0


def _is_reset(error: BaseException) -> bool:
    if isinstance(error, RESETS) or type(error).__name__ in CLASSES:
        return True
    if str(getattr(error, "sqlstate", None) or "") in SQLSTATES:
        return True
    return not isinstance(error, E2IError) and TEXTS.search(str(error)[:2_000]) is not None


def _headers(error: Any) -> Mapping[str, str]:
    """Returns the headers of the response behind an exception, as the clients store it."""
    response = getattr(error, "response", None)
    headers = getattr(error, "headers", None) or getattr(response, "headers", None)
    if isinstance(response, dict):
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders")
    return {str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
