"""Record an agent's work while it runs. In: calls of the agent. Out: the documents of a trace and its spans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from e2i.tools.opik.identity import uuid7

Document = dict[str, Any]
SpanType = Literal["general", "tool", "llm", "guardrail"]
Status = Literal["ok", "error"]


class Recorder:
    """Source of the time and new ids, and receiver of observations when they end."""

    def __init__(
        self,
        project: str,
        keep: Callable[[str, Document], None],
        now: Callable[[], datetime],
        entropy: Callable[[], str],
    ) -> None:
        self.project = project
        self.keep = keep
        self.now = now
        self._entropy = entropy

    def fresh_id(self) -> str:
        return uuid7(int(self.now().timestamp() * 1000), self._entropy())


class Observation:
    """A trace or a span while it is open. Times are UTC. Values set after its end are lost."""

    def __init__(self, recorder: Recorder, name: str, *, identity: str | None = None, **facts: Any) -> None:
        self._recorder = recorder
        self.id = identity or recorder.fresh_id()
        self.document: Document = {
            "id": self.id,
            "name": name,
            "project_name": recorder.project,
            "start_time": recorder.now(),
            "metadata": dict(facts.pop("metadata", None) or {}),
            "source": "sdk",
            **{key: value for key, value in facts.items() if value is not None},
        }

    @property
    def trace_id(self) -> str:
        return str(self.document.get("trace_id", self.id))

    def set_attribute(self, key: str, value: Any) -> None:
        """Add to the metadata. ``value`` is any JSON value."""
        self.document["metadata"][key] = value

    def set_output(self, **output: Any) -> None:
        self.document["output"] = output

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Add an event to the metadata's ``events``: Opik has no events of its own."""
        event = {"name": name, "at": self._recorder.now().isoformat(), "attributes": dict(attributes or {})}
        self.document["metadata"].setdefault("events", []).append(event)

    def set_status(self, status: Status, message: str | None = None) -> None:
        """Set the status: ``error`` marks the observation as failed, ``ok`` resets that."""
        self.document.pop("error_info", None)
        if status == "error":
            self.document["error_info"] = {"exception_type": "error", "message": message or "", "traceback": ""}

    @asynccontextmanager
    async def span(
        self,
        name: str,
        *,
        type: SpanType = "general",  # noqa: A002 - Opik's own word
        input: Mapping[str, Any] | None = None,  # noqa: A002 - Opik's own word
        **metadata: Any,
    ) -> AsyncIterator[Span]:
        """Open a span below this observation. It is kept when it ends, with the error if it ends by one."""
        below = Span(
            self._recorder,
            name,
            type=type,
            input=None if input is None else dict(input),
            metadata=metadata,
            trace_id=self.trace_id,
            parent_span_id=self.id if isinstance(self, Span) else None,
        )
        async with ended("spans", below, self._recorder):
            yield below


class Span(Observation):
    """A span while it is open."""

    def track_llm(
        self,
        *,
        model: str,
        provider: str,
        prompt_tokens: int,
        completion_tokens: int,
        total_cost: float | None = None,
    ) -> None:
        """Mark this as the span of a call to a language model. ``total_cost`` is in US dollars."""
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        self.document.update(type="llm", model=model, provider=provider, usage=usage)
        if total_cost is not None:
            self.document["total_estimated_cost"] = total_cost


class Trace(Observation):
    """A trace while it is open."""


@asynccontextmanager
async def ended(kind: Literal["traces", "spans"], observation: Observation, recorder: Recorder) -> AsyncIterator[None]:
    """End the observation, record an error if there was one (and raise it again), and pass the observation on."""
    try:
        yield
    except BaseException as error:  # recorded and raised again: cancellation is an end as well
        observation.set_status("error", f"{error}")
        observation.document["error_info"]["exception_type"] = type(error).__name__
        raise
    finally:
        observation.document["end_time"] = recorder.now()
        recorder.keep(kind, observation.document)


def utc_now() -> datetime:
    return datetime.now(UTC)
