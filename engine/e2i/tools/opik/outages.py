"""Classify exceptions of Opik's client. In: an exception. Out: whether Opik is down, or refuses the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2i.errors import AuthenticationFailed, E2IError, StepError, ToolUnavailable

KEY = "check `tools: opik: api_key` and `workspace`, or the variable that holds the key; telemetry is kept"
WAIT = frozenset({401, 403, 404, 408, 425, 429})
"""HTTP statuses below 500 that are not about the data: an expired key, a wrong address, too many calls."""


def is_outage(error: BaseException) -> bool | None:
    """Return True for a temporary response, False for a refusal of the data, None without a response.

    Used as a guard's ``classify``.
    """
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return None
    return status >= 500 or status in WAIT


@contextmanager
def telling_outages() -> Iterator[None]:
    """Convert the REST client's exceptions to ToolUnavailable (send later) or StepError (refused permanently)."""
    import httpx
    from opik.rest_api.core.api_error import ApiError

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise ToolUnavailable("opik", f"opik cannot be reached: {type(error).__name__}: {error}") from error
    except ApiError as error:
        raise refusal(error.status_code or 500, str(error.body)) from error


def refusal(status: int, body: str) -> E2IError:
    """Return the error for a response with that HTTP status: send later, or never again."""
    said = f"HTTP {status}: {body[:300]}"
    if status in (401, 403):
        return AuthenticationFailed("opik", f"opik refuses the API key or the workspace: {said}", hint=KEY)
    if status >= 500 or status in WAIT:
        hint = "check `tools: opik: api_key` and `url`" if status == 404 else None
        return ToolUnavailable("opik", f"opik does not accept telemetry: {said}", hint=hint)
    return StepError(f"opik refuses the telemetry: {said}", code="refused-telemetry")
