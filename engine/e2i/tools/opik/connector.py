"""The Opik client of the platform's agents. In: observations. Out: traces, spans and scores, in Opik after ``flush``.

Everything is kept here until Opik has accepted it. When the server is down, only ``flush`` reports it; the agent is not
affected.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.guard import Guard
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.identity import is_sampled
from e2i.tools.opik.observation import Document, Recorder, Trace, ended, utc_now
from e2i.tools.opik.outages import is_outage

if TYPE_CHECKING:
    import opik
    from opik.rest_api.client import OpikApi

log = logging.getLogger(__name__)
MANY = 1000
"""Number of kept documents from which the end of a trace triggers sending."""


class Flushed(Struct, frozen=True):
    """Numbers of documents sent by a flush: traces and spans, and scores."""

    documents: int
    scores: int


class OpikConnector:
    """Opik for agents: explicit and asynchronous, without blocking the observed work."""

    tool: ClassVar[str] = "opik"

    def __init__(
        self,
        settings: OpikSettings,
        guard: Guard,
        home: Path,
        *,
        now: Callable[[], datetime] = utc_now,
        entropy: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._settings = settings
        self._guard = replace(guard, classify=is_outage)
        self._home = home
        self._recorder = Recorder(settings.project, self._keep, now, entropy)
        self._kept: dict[tuple[str, str, str], Document] = {}

    @asynccontextmanager
    async def trace(
        self,
        name: str,
        *,
        trace_id: str | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - Opik's own word
        tags: Sequence[str] = (),
        thread_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Trace]:
        """Open a trace around the work in the ``async with``. ``trace_id`` is a UUID of version 7; None creates one.

        Sampling depends on the id, and applies to the trace's spans and scores.
        """
        observed = Trace(
            self._recorder,
            name,
            identity=trace_id,
            input=None if input is None else dict(input),
            tags=list(tags) or None,
            thread_id=thread_id,
            metadata=metadata,
        )
        async with ended("traces", observed, self._recorder):
            yield observed
        if len(self._kept) >= MANY:
            await self._try_flush()

    async def log_metric(self, trace_id: str, name: str, value: float, *, span_id: str | None = None) -> None:
        """Record a number for a trace, or one of its spans, as a score of the category ``metric``."""
        self._keep_score(trace_id, name, value, span_id=span_id, category_name="metric")

    async def log_feedback(
        self, trace_id: str, name: str, value: float, *, reason: str | None = None, span_id: str | None = None
    ) -> None:
        """Record a score for a trace, or one of its spans. It replaces a score of the same name."""
        self._keep_score(trace_id, name, value, span_id=span_id, reason=reason)

    async def flush(self, timeout: float | None = None) -> Flushed:
        """Send what is kept, within ``timeout`` seconds (the tool's deadline if None).

        Raises ToolUnavailable when Opik did not accept everything. The documents are then still kept; sending them
        twice is harmless. Raises StepError naming permanently refused documents, which are dropped; all others were
        accepted.
        """
        sent = dict(self._kept)
        refused = await self._guard.acall(self._send, sent, deadline=timeout) if sent else []
        for key, document in sent.items():
            if self._kept.get(key) is document:
                del self._kept[key]
        if refused:
            raise StepError(
                f"opik refuses {len(refused)} of {len(sent)} documents, first: {refused[0]}",
                code="refused-telemetry",
                details=refused,
            )
        scores = sum(kind.endswith("scores") for kind, _, _ in sent)
        return Flushed(documents=len(sent) - scores, scores=scores)

    async def search_traces(self, filter_string: str | None = None, *, limit: int = 100) -> list[Any]:
        """Return traces of the project, newest first, by Opik's query language (``feedback_scores.auc > 0.8``)."""
        return await self._guard.acall(
            lambda: self.client.search_traces(filter_string=filter_string, max_results=limit)
        )

    async def search_spans(self, trace_id: str, filter_string: str | None = None, *, limit: int = 1000) -> list[Any]:
        """Return spans of a trace, newest first."""
        return await self._guard.acall(
            lambda: self.client.search_spans(trace_id=trace_id, filter_string=filter_string, max_results=limit)
        )

    @property
    def pending(self) -> int:
        """Return the number of documents that Opik has not accepted yet."""
        return len(self._kept)

    @cached_property
    def client(self) -> opik.Opik:
        """Return the SDK's own client, opened on first use, for everything that this class does not offer."""
        from e2i.tools.opik.client import open_client

        return open_client(self._settings, self._home)

    async def close(self) -> None:
        """Send what is kept if Opik is reachable, and end the SDK's threads."""
        await self._try_flush()
        if "client" in self.__dict__:
            await self._guard.acall(self.client.end, timeout=int(self._guard.deadline), flush=False)

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except ToolUnavailable as error:
            log.warning("%s; %d documents are kept", error.message, len(self._kept))

    def _keep(self, kind: str, document: Document) -> None:
        trace = str(document.get("trace_id", document["id"]))
        if is_sampled(trace, self._settings.sampling_rate):
            self._kept[kind, document["id"], ""] = document

    def _keep_score(self, trace_id: str, name: str, value: float, *, span_id: str | None, **facts: str | None) -> None:
        if not is_sampled(trace_id, self._settings.sampling_rate):
            return
        kind = "trace_scores" if span_id is None else "span_scores"
        score = {"id": span_id or trace_id, "name": name, "value": value, "source": "sdk", **facts}
        self._kept[kind, span_id or trace_id, name] = {
            "project_name": self._settings.project,
            **{key: item for key, item in score.items() if item is not None},
        }

    def _send(self, documents: Mapping[tuple[str, str, str], Document]) -> list[str]:
        """Write all documents; if some are refused, one by one. Returns the errors of the refused ones."""
        from e2i.tools.opik.writing import write

        kinds: dict[str, list[Document]] = {}
        for (kind, _, _), document in documents.items():
            kinds.setdefault(kind, []).append(document)
        try:
            write(self._rest, **kinds)
        except StepError as error:
            if len(documents) == 1:
                return [f"{next(iter(documents))}: {error.message}"]
            return [said for key, document in documents.items() for said in self._send({key: document})]
        return []

    @cached_property
    def _rest(self) -> OpikApi:
        from e2i.tools.opik.client import open_rest

        return open_rest(self._settings, self._home)
