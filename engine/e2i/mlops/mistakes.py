"""Report a caller's mistake as a ``ValueError``. In: errors of the tools. Out: ``BadCall``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2i.errors import BadInput, E2IError, Refused, StepError


class BadCall(BadInput, ValueError):
    """A call with a wrong argument. ``hint`` describes how to fix it; it is part of the message too."""

    def __init__(self, message: str, *, code: str = "bad-call", hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@contextmanager
def mistakes() -> Iterator[None]:
    """Convert what a tool refuses to ``BadCall``; also a decorator. An outage passes unchanged."""
    try:
        yield
    except BadCall:
        raise
    except (StepError, BadInput, Refused) as error:
        raise _bad_call(error) from error


def _bad_call(error: E2IError) -> BadCall:
    return BadCall(error.message, code=error.code, hint=error.hint)
