"""Responses of the embedded backend."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from msgspec import Struct


class Answer(Struct, frozen=True):
    """An HTTP response with a JSON body, or lines of JSON."""

    status: int
    content: bytes = b""
    media_type: str = "application/json"
    location: str | None = None
    """Path of the created object, for the header of that name."""


class RejectedError(Exception):
    """The request is refused with an HTTP status, as the server would."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = as_json({"errors": [message]}, status)


def as_json(value: Any, status: int = HTTPStatus.OK) -> Answer:
    """Return a response with a JSON body."""
    return Answer(status, json.dumps(value).encode())


def as_lines(values: Iterable[Any]) -> Answer:
    """Return a response with one line of JSON for each value."""
    return Answer(
        HTTPStatus.OK, b"".join(json.dumps(value).encode() + b"\n" for value in values), "application/octet-stream"
    )


def created(path: str) -> Answer:
    """Return the response to a request that created an object."""
    return Answer(HTTPStatus.CREATED, location=f"/api/v1/private/{path}")


def found(value: Any, what: str) -> Any:
    """Return the value. Raises RejectedError (404) when there is none."""
    if value is None:
        raise RejectedError(HTTPStatus.NOT_FOUND, f"{what} not found")
    return value
