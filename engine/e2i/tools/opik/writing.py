"""Documents of traces, spans and scores go in; when ``write`` returns, Opik has accepted all of them.

Through the SDK's REST client, one answered request after another. The SDK's own queue cannot say as much: what it drops
between two flushes (a server error, say) is in no flush's result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from e2i.tools.opik.outages import told_apart

if TYPE_CHECKING:
    from opik.rest_api.client import OpikApi

T = TypeVar("T")
Document = dict[str, Any]

BATCH = 50
"""Documents in one request; Opik takes up to 1,000, of 5 MB in all."""


def write(
    rest: OpikApi,
    *,
    traces: Iterable[Document] = (),
    spans: Iterable[Document] = (),
    trace_scores: Iterable[Document] = (),
    span_scores: Iterable[Document] = (),
) -> None:
    """Writes documents as the REST API takes them; one with the id of an earlier one takes its place.

    Raises ToolUnavailable when some may not have arrived, StepError when Opik refuses them.
    """
    from opik.rest_api.types.feedback_score_batch_item import FeedbackScoreBatchItem
    from opik.rest_api.types.span_write import SpanWrite
    from opik.rest_api.types.trace_write import TraceWrite

    with told_apart():
        for batch in batches(traces):
            rest.traces.create_traces(traces=[TraceWrite(**document) for document in batch])
        for batch in batches(spans):
            rest.spans.create_spans(spans=[SpanWrite(**document) for document in batch])
        for batch in batches(trace_scores):
            rest.traces.score_batch_of_traces(scores=[FeedbackScoreBatchItem(**document) for document in batch])
        for batch in batches(span_scores):
            rest.spans.score_batch_of_spans(scores=[FeedbackScoreBatchItem(**document) for document in batch])


def batches(documents: Iterable[T]) -> Iterator[list[T]]:
    """The documents, ``BATCH`` at a time."""
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH)):
        yield batch
