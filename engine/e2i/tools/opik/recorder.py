"""Make and end the spans of a program. In: names and ids. Out: spans, and their documents for the outbox.

Sampling goes by the trace: all or nothing of it is recorded, and the decision for one id never changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from e2i.errors import BadCall
from e2i.telemetry.entries import Entry, target_of
from e2i.tools.opik import LARGEST_SCORE, OpikSettings
from e2i.tools.opik.costs import cost, price
from e2i.tools.opik.documents import Noted, Resource, entry
from e2i.tools.opik.identity import adopted, is_sampled, uuid7
from e2i.tools.opik.jsonable import storable
from e2i.tools.opik.observation import Document, LLMSpan, Span, SpanType, Trace, utc_now


class Recorder:
    """Source of spans for one connector. ``put`` makes entries durable; it is called when a span ends."""

    def __init__(
        self,
        settings: OpikSettings,
        environment: str,
        put: Callable[[Sequence[Entry]], None],
        *,
        now: Callable[[], datetime] = utc_now,
        entropy: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self.settings = settings
        self.project_name = settings.project_name
        self.environment = environment
        self.run = entropy()
        """Id under which the outbox keeps what this process records."""
        self.now = now
        self._put = put
        self._entropy = entropy
        self._target = target_of(settings)

    def begin(
        self,
        name: str,
        parent: Span | None = None,
        *,
        trace_id: str | None = None,
        parent_span_id: str | None = None,
        type: SpanType = "general",  # noqa: A002 - Opik's own word
        metadata: Mapping[str, Any] | None = None,
        agent: str | None = None,
    ) -> Span:
        """Returns an open span: below ``parent``, or in a trace and below a span that were made elsewhere.

        Without any of them it begins a trace. Foreign ids of any form are accepted; ``identity.adopted`` maps them.
        ``agent`` is whose work it is; default: that of ``parent``.
        """
        facts = {**(metadata or {}), "environment": self.environment}
        trace = self._trace(parent, trace_id, parent_span_id, facts)
        above = parent.span_id if parent is not None and parent.trace is trace else None
        if parent_span_id:
            above = adopted(parent_span_id, "span")
            if above != parent_span_id:
                facts["external_parent_span_id"] = parent_span_id
        kind = LLMSpan if type == "llm" else Span
        agent = agent or (parent.agent if parent is not None else None)
        return kind(self, name, trace, self._fresh(), parent=above, type=type, metadata=facts, agent=agent)

    def end(self, span: Span, error: BaseException | None = None) -> None:
        """Ends a span: with the exception that ended its work, if any. Its document is put.

        So is that of the trace, if the span began or joined it in this process.
        """
        if error is not None:
            span.fail(error)
        span.ended = self.now()
        if not span.trace.is_sampled:
            return
        noted = [*self._announced(span.trace, span), self._span(span)]
        if span.trace.root is span:
            span.trace.announced = True
            noted.append(self._trace_document(span))
        self._note(noted)

    def metric(self, span: Span, name: str, value: float, *, on_trace: bool = False) -> None:
        """Records a number for a span or its trace, as a score of the category ``metric``. Raises ValueError."""
        score = checked_score(name, value)
        if not span.trace.is_sampled:
            return
        noted = list(self._announced(span.trace, span))
        if not (on_trace or span.announced or span.ended):
            noted.append(self._span(span))  # so that no score precedes what it is about
        resource: Resource = "trace_scores" if on_trace else "span_scores"
        score |= {"id": span.trace_id if on_trace else span.span_id, "category_name": "metric"}
        self._note([*noted, Noted(resource, self._score(score))])

    def feedback(self, trace_id: str, name: str, value: float, reason: str | None = None) -> None:
        """Records a score of a trace of any program. It replaces a score of the same name. Raises ValueError."""
        if not str(trace_id or "").strip():
            raise BadCall("`trace_id` must not be empty", hint="pass the `trace_id` of a span")
        identity = adopted(str(trace_id), "trace")
        score = {**checked_score(name, value), "id": identity}
        if reason is not None:
            score["reason"] = str(reason)
        if is_sampled(identity, self.settings.sampling_rate):
            self._note([Noted("trace_scores", self._score(score))])

    def take(self, noted: Sequence[Noted]) -> None:
        """Puts documents that something else has made."""
        self._note(noted)

    def _trace(
        self, parent: Span | None, trace_id: str | None, parent_span_id: str | None, facts: dict[str, Any]
    ) -> Trace:
        """Returns the trace to join or begin; notes a foreign id in ``facts``."""
        if trace_id:
            identity = adopted(trace_id, "trace")
            if identity != trace_id:
                facts["external_trace_id"] = trace_id
            if parent is not None and parent.trace_id == identity:
                return parent.trace
            return self._new_trace(identity, joined=True)
        if parent is not None:
            return parent.trace
        if parent_span_id:  # of an unknown trace: spans below one parent are at least in one trace
            return self._new_trace(adopted(f"above {parent_span_id}", "trace"), joined=True)
        return self._new_trace(self._fresh(), joined=False)

    def _new_trace(self, identity: str, *, joined: bool) -> Trace:
        return Trace(identity, is_sampled=is_sampled(identity, self.settings.sampling_rate), joined=joined)

    def _announced(self, trace: Trace, span: Span) -> Iterator[Noted]:
        """Yields the trace, without an end, if nothing of it is on its way: a killed program never writes its end."""
        if not trace.announced and (span.parent_span_id is not None or span.ended is None):
            trace.announced = True
            yield self._trace_document(trace.root or span, is_ended=False)

    def _span(self, span: Span) -> Noted:
        span.announced = True
        facts: Document = {"project_name": self.project_name}
        if isinstance(span, LLMSpan):
            facts |= _llm_facts(span)
        return Noted("spans", span.document(**facts))

    def _trace_document(self, root: Span, *, is_ended: bool = True) -> Noted:
        """Returns the document of a trace: that of the span it began with."""
        document = root.document(project_name=self.project_name, id=root.trace_id)
        for name in ("trace_id", "parent_span_id", "type", *(() if is_ended else ("end_time", "output", "error_info"))):
            document.pop(name, None)
        if root.trace.joined:
            document["metadata"] = {**document["metadata"], "joined": True}
        return Noted("traces", document, root.trace.joined)

    def _score(self, score: Document) -> Document:
        return {"project_name": self.project_name, "source": "sdk", **score}

    def _note(self, noted: Sequence[Noted]) -> None:
        self._put([entry(item, self.run, self._entropy(), self._target) for item in noted])

    def _fresh(self) -> str:
        return uuid7(int(self.now().timestamp() * 1000), self._entropy())


def checked_score(name: str, value: float) -> Document:
    """Returns name and value of a score. Raises ValueError for a value that Opik refuses."""
    if not isinstance(name, str) or not name.strip():
        raise BadCall(f"the name of a score is {name!r:.80}, not a text that is not empty", hint='such as "quality"')
    if storable(name) != name:
        raise BadCall(f"the name of a score, {name!r:.80}, contains a lone surrogate", hint="decode it without them")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadCall(f"the score {name!r} must be a number, not {value!r:.80}", hint="such as 0.8") from None
    if not math.isfinite(number) or abs(number) > LARGEST_SCORE:
        raise BadCall(
            f"the score {name!r} must be a number, not {value!r:.80}", hint=f"finite, and at most {LARGEST_SCORE:.0f}"
        )
    return {"name": name, "value": number}


def _llm_facts(span: LLMSpan) -> Document:
    """Returns model, provider, usage and, if the price is known, cost of a call."""
    found = price(span.model, span.provider)
    listed = "anthropic" if span.model.startswith("claude") else found.litellm_provider if found else None
    facts: Document = {"model": span.model, "provider": span.provider or listed}
    if span.tokens is not None:
        facts["usage"] = span.tokens.usage
        if found is not None:
            facts["total_estimated_cost"] = cost(span.tokens, found)
    return facts
