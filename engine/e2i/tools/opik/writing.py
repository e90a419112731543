"""Write documents to an Opik server. In: traces, spans and scores. Out: all of them accepted when ``write`` returns.

Uses the SDK's REST client, one request after another. The SDK's own queue cannot guarantee this: documents dropped
between two flushes (after a server error, for instance) do not appear in any flush's result.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from e2i.errors import ToolUnavailable
from e2i.tools.opik.answers import ConflictError, TooLargeError
from e2i.tools.opik.outages import telling_outages

if TYPE_CHECKING:
    from opik.rest_api.client import OpikApi

T = TypeVar("T")
Document = dict[str, Any]

LOOKS = (0.1, 0.4)
"""Seconds between checks for written documents: Opik's database may show them a little later."""
BATCH = 50
"""Documents in one request. Opik accepts up to 1,000, of 5 MB in all."""


def write(
    rest: OpikApi,
    *,
    traces: Sequence[Document] = (),
    spans: Sequence[Document] = (),
    trace_scores: Iterable[Document] = (),
    span_scores: Iterable[Document] = (),
) -> None:
    """Write documents in the form of the REST API; a document replaces an earlier one with its id.

    Raises ToolUnavailable when some may not have arrived, StepError when Opik refuses them. Finally Opik is queried for
    the documents, because a proxy could answer 204 without passing them on.
    """
    from opik.rest_api.types.feedback_score_batch_item import FeedbackScoreBatchItem
    from opik.rest_api.types.span_write import SpanWrite
    from opik.rest_api.types.trace_write import TraceWrite

    with telling_outages():
        for batch in batches(traces):
            _send(
                batch,
                lambda part: rest.traces.create_traces(traces=[TraceWrite(**document) for document in part]),
                rest.traces.get_trace_by_id,
            )
        for batch in batches(spans):
            _send(
                batch,
                lambda part: rest.spans.create_spans(spans=[SpanWrite(**document) for document in part]),
                rest.spans.get_span_by_id,
            )
        for batch in batches(trace_scores):
            _send(
                batch,
                lambda part: rest.traces.score_batch_of_traces(
                    scores=[FeedbackScoreBatchItem(**document) for document in part]
                ),
            )
        for batch in batches(span_scores):
            _send(
                batch,
                lambda part: rest.spans.score_batch_of_spans(
                    scores=[FeedbackScoreBatchItem(**document) for document in part]
                ),
            )
        _confirm(traces, rest.traces.get_trace_by_id)
        _confirm(spans, rest.spans.get_span_by_id)


def find_trace(rest: OpikApi, identity: str) -> Document | None:
    """Return the trace of that id; None when there is none. Raises ToolUnavailable."""
    try:
        with telling_outages():
            found = rest.traces.get_trace_by_id(identity)
    except ToolUnavailable as error:
        if error.code != "not-there":
            raise
        return None
    held: Document = json.loads(found.json(exclude_none=True))
    return held


def _send(
    documents: list[Document],
    send: Callable[[list[Document]], object],
    look_up: Callable[[str], Any] | None = None,
) -> None:
    """Send documents in one request, or in several when the server accepts fewer at once.

    A document that the server already has counts as accepted when it can be read there.
    """
    try:
        send(documents)
    except (TooLargeError, ConflictError) as error:
        if len(documents) > 1:
            middle = len(documents) // 2
            _send(documents[:middle], send, look_up)
            _send(documents[middle:], send, look_up)
            return
        identity = documents[0]["id"]
        if isinstance(error, ConflictError) and look_up is not None and _is_there(documents[0], look_up):
            return
        raise ToolUnavailable("opik", f"opik does not accept {identity}: {error}") from error


def _confirm(documents: Sequence[Document], look_up: Callable[[str], Any]) -> None:
    """Raise ToolUnavailable when the last of the documents is missing: the others were sent before it."""
    if not documents:
        return
    for seconds in (*LOOKS, None):
        if _is_there(documents[-1], look_up):
            return
        if seconds is not None:
            threading.Event().wait(seconds)
    message = f"opik accepted {documents[-1]['id']} but does not have it"
    raise ToolUnavailable("opik", message, code="not-confirmed", hint="it will be sent again later")


def _is_there(document: Document, look_up: Callable[[str], Any]) -> bool:
    """Return True when Opik has the document, including its end if that was sent."""
    try:
        found = look_up(document["id"])
        return bool(found.id == document["id"] and (found.end_time or not document.get("end_time")))
    except ToolUnavailable as error:
        if error.code != "not-there":
            raise
        return False
    except (ValueError, AttributeError):  # JSON that describes something else
        return False


def batches(documents: Iterable[T]) -> Iterator[list[T]]:
    """Yield the documents, ``BATCH`` at a time."""
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH)):
        yield batch
