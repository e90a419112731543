from __future__ import annotations

import traceback

import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.error_masking import mask_error
from e2i.resilience.guard import Guard

SECRET = "s3cr3t-value-77"


def mask(text: str) -> str:
    return text.replace(SECRET, "***")


class AnswerError(Exception):
    """As the exceptions of clients that keep the answer of the server."""

    def __init__(self, status: int, headers: dict[str, object], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body, self.self_made = status, headers, body, self

    def __str__(self) -> str:
        return f"{self.status} {self.headers} {self.body!r}"


def raised(error: Exception) -> Exception:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError:
            raise error from FileNotFoundError(2, f"no {SECRET}", f"/srv/{SECRET}")
    except Exception as caught:  # noqa: BLE001 - any of them
        return caught


@pytest.mark.parametrize(
    "error",
    [
        AnswerError(400, {"authorization": [SECRET, (SECRET,)]}, f"refused {SECRET}".encode()),
        StepError(f"was {SECRET}", code="x", hint=f"use {SECRET}"),
        ExceptionGroup(SECRET[:3], [ValueError(SECRET)]),
    ],
)
def test_an_exception_and_those_that_it_was_raised_from_are_masked_and_keep_their_type(error: Exception) -> None:
    kind = type(error)
    caught = raised(error)
    caught.add_note(f"note {SECRET}")
    mask_error(caught, mask)
    assert caught is error and type(caught) is kind
    assert SECRET not in "".join(traceback.format_exception(caught)) + repr(vars(caught)), caught
    assert "***" in "".join(traceback.format_exception(caught))


def test_what_a_guarded_call_raises_is_masked() -> None:
    def refuse(error: Exception) -> None:
        raise error

    guard = Guard("opik", Breaker("opik"), mask=mask)
    with pytest.raises(AnswerError) as caught:
        guard.call(refuse, AnswerError(400, {"a": SECRET}, b""))
    assert caught.value.headers == {"a": "***"}
    with pytest.raises(ToolUnavailable) as down:
        guard.call(refuse, ConnectionError(f"no answer to {SECRET}"))
    assert SECRET not in "".join(traceback.format_exception(down.value))
