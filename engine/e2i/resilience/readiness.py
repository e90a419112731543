"""Wait for a service that is starting. In: its address. Out: nothing once it is ready, ``ToolUnavailable`` otherwise.

A slow start is no outage: a refused connection, or an answer such as 503, is what a starting service gives. So the
requests go past the circuit breaker, and only the deadline of the start ends the wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPException

from e2i.errors import ToolUnavailable
from e2i.resilience.asking import ask
from e2i.resilience.deadlines import in_time

PERIOD = 0.05
"""Seconds between two requests."""
WITHIN = 2.0
"""Seconds for one request."""


def is_ready(url: str, *, within: float = WITHIN) -> bool:
    """Returns whether a GET of the URL answers 200 within so many seconds. Raises nothing."""
    try:
        return in_time(partial(ask, url, within=within), within).status == 200
    except (OSError, HTTPException, ValueError):  # refused, closed, silent, dripping, or no HTTP
        return False


def wait_until_ready(
    tool: str,
    url: str,
    seconds: float,
    *,
    check: Callable[[], object] = lambda: None,
    hint: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Returns once the URL answers 200. Raises ToolUnavailable (``not-ready``) after so many seconds.

    ``check`` is called before each request; what it raises ends the wait, such as an error of a process that exited.
    """
    ends = clock() + seconds
    while (left := ends - clock()) > 0:
        check()
        if is_ready(url, within=min(WITHIN, left)):
            return
        sleep(PERIOD)
    raise ToolUnavailable(
        tool, f"{tool} at {url} was not ready within {seconds:g} s of its start", code="not-ready", hint=hint
    )
