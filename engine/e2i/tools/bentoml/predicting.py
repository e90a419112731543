"""Send rows to a service over HTTP. In: an address and rows. Out: predictions.

Every request has a timeout for each of its exchanges, follows no redirect and uses no proxy; the caller's guard bounds
its total time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.transient import pause_of

if TYPE_CHECKING:
    import httpx
    import pandas as pd

MOST_ROWS = 10_000
"""Rows that a service takes in one request."""
MOST_BYTES = 256 << 20
"""Bytes of an answer that are read."""


class Answer(Struct, frozen=True):
    """What a service predicts: one entry for each row. ``probabilities`` are by class, None for a model without any."""

    predictions: list[Any]
    probabilities: list[list[float]] | None = None


def ask(url: str, rows: Sequence[Any], seconds: float, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the predictions for rows, in requests of as many rows as a service takes."""
    answers = [_ask(url, part, seconds, headers) for part in _parts(rows)]
    if len(answers) == 1:
        return answers[0]
    shares = [answer.probabilities for answer in answers]
    return Answer(
        [item for answer in answers for item in answer.predictions],
        None if None in shares else [row for part in shares for row in part or ()],
    )


def ask_each(
    url: str, rows: Sequence[tuple[Any, str]], seconds: float, headers: Mapping[str, str] | None = None
) -> list[tuple[Answer, str]]:
    """Return the prediction for each row, sent with its key in a request of its own, and the Bento that answered."""
    import httpx

    found = []
    with httpx.Client(timeout=seconds, trust_env=False, verify=url.startswith("https:")) as client:
        for row, key in rows:
            own = {**(headers or {}), "E2I-Key": key.encode("utf-8", "backslashreplace").decode("ascii", "replace")}
            document, answered = _posted(client, f"{url}/predict", {"input": [row]}, own)
            found.append((_read(url, document, 1), answered.get("E2I-Bento", "")))
    return found


def post(url: str, body: Mapping[str, Any], seconds: float, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that is the answer to a POST. Raises ToolUnavailable (failing) and StepError (refused)."""
    import httpx

    # Without TLS no certificates are needed; to load them takes longer than the request.
    with httpx.Client(timeout=seconds, trust_env=False, verify=url.startswith("https:")) as client:
        return _posted(client, url, body, headers)[0]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON values: missing values become null, decimals become floats, times become text."""
    present = frame.astype(object).where(frame.notna(), None)
    names = [str(name) for name in present.columns]
    return [
        {name: plain_value(value) for name, value in zip(names, row, strict=True)}
        for row in present.itertuples(index=False, name=None)
    ]


def plain_value(value: Any) -> Any:
    """Return one value as JSON has it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, Decimal):
        return float(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _posted(
    client: httpx.Client, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return the JSON object that is answered, and the answer's headers."""
    with client.stream("POST", url, json=body, headers=dict(headers or {})) as answer:
        content = bytearray()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise StepError(f"{url} answers with more than {MOST_BYTES >> 20} MiB", code="bad-answer")
    text = content.decode("utf-8", "replace")
    if answer.status_code >= 500 or answer.status_code == 429:
        wanted = pause_of(answer.status_code, answer.headers)
        raise ToolUnavailable("bentoml", f"{url} answered {answer.status_code}: {text[:300]}", retry_after=wanted)
    if answer.status_code >= 400:
        raise StepError(f"{url} refused the request: {text[:500]}", code="service-refused")
    return _object(url, text), answer.headers


def _ask(url: str, rows: Sequence[Any], seconds: float, headers: Mapping[str, str] | None) -> Answer:
    return _read(url, post(f"{url}/predict", {"input": rows}, seconds, headers), len(rows))


def _read(url: str, found: Mapping[str, Any], rows: int) -> Answer:
    predictions, shares = found.get("predictions"), found.get("probabilities")
    for part in (predictions,) if shares is None else (predictions, shares):
        if not isinstance(part, list) or len(part) != rows:
            raise StepError(f"{url} did not return one prediction for each row", code="bad-answer")
    return Answer(predictions or [], shares)


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, max(len(rows), 1), MOST_ROWS):
        yield rows[start : start + MOST_ROWS]


def _object(url: str, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise StepError(f"{url} did not answer with JSON", code="bad-answer") from error
    if not isinstance(document, dict):
        raise StepError(f"{url} did not answer with a JSON object", code="bad-answer")
    return document
