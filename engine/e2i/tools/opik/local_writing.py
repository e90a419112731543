"""Documents of traces, spans and scores go in; when ``write`` returns, the embedded Opik holds all of them.

As ``writing.write``, but straight to the backend: nothing of the SDK is imported, which takes longer (1.7 s of CPU)
than all that a run has to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
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
    """Writes documents; one with the id of an earlier one takes its place.

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


def _plain(value: Any) -> str:
    """Times as the SDK writes them, anything else that JSON does not have as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
