"""Nest a program's spans and those that the SDK makes by itself: of a tracked client, an evaluation, ``@opik.track``.

The SDK is not imported here: without it, nothing of it is open.
"""

from __future__ import annotations

import sys

from e2i.tools.opik.observation import Span


def enter(span: Span) -> None:
    """Makes the span the current one of the SDK here, if the program has imported the SDK."""
    if "opik.context_storage" in sys.modules and span.trace.is_sampled:
        from opik.api_objects.span import SpanData
        from opik.context_storage import add_span_data

        add_span_data(
            SpanData(
                id=span.span_id,
                trace_id=span.trace_id,
                parent_span_id=span.parent_span_id,
                name=span.name,
                type=span.type,
                start_time=span.started,
                project_name=span.project_name,
            )
        )


def outer() -> tuple[str, str | None] | None:
    """Returns the ids of the trace and the span that the SDK has open here; None when it has none."""
    if "opik.context_storage" not in sys.modules:
        return None
    from opik.context_storage import get_trace_data, top_span_data

    span, trace = top_span_data(), get_trace_data()
    if span is not None:
        return str(span.trace_id), str(span.id)
    return None if trace is None else (str(trace.id), None)


def leave(span: Span) -> None:
    """Undoes ``enter``; it is the SDK's own affair what it holds in another context."""
    if "opik.context_storage" in sys.modules:
        from opik.context_storage import pop_span_data

        pop_span_data(ensure_id=span.span_id)
