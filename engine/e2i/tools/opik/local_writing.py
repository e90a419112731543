"""Write documents to the embedded Opik. In: traces, spans and scores. Out: all of them stored when ``write`` returns.

Like ``writing.write``, but directly to the backend. The SDK is not imported: that takes longer (1.7 s of CPU) than
writing the telemetry of a whole run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.outages import refusal
from e2i.tools.opik.writing import Document, batches


def write(
    backend: LocalBackend,
    *,
    traces: Iterable[Document] = (),
    spans: Iterable[Document] = (),
    trace_scores: Iterable[Document] = (),
    span_scores: Iterable[Document] = (),
) -> None:
    """Write documents; a document replaces an earlier one with its id.

    Raises ToolUnavailable when the file cannot be written, StepError when the documents are refused.
    """
    for method, path, name, documents in (
        ("POST", "traces/batch", "traces", traces),
        ("POST", "spans/batch", "spans", spans),
        ("PUT", "traces/feedback-scores", "scores", trace_scores),
        ("PUT", "spans/feedback-scores", "scores", span_scores),
    ):
        for batch in batches(documents):
            answer = backend.answer(method, path, json.loads(json.dumps({name: batch}, default=_plain)))
            if answer.status >= 400:
                raise refusal(answer.status, answer.content.decode())


def find_trace(backend: LocalBackend, identity: str) -> Document | None:
    """Return the trace of that id; None when there is none. Raises as ``write``."""
    answer = backend.answer("GET", f"traces/{identity}", None)
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status >= 400:
        raise refusal(answer.status, answer.content.decode())
    found: Document = json.loads(answer.content)
    return found


def _plain(value: Any) -> str:
    """Convert times as the SDK does, and any other value that JSON does not have to text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
