"""A span of a program while it is open. In: what the program observes. Out: the span's document in Opik's form."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from numbers import Integral
from typing import Any, Literal, Protocol

from e2i.errors import BadCall
from e2i.spec.suggest import nearest
from e2i.tools.opik.costs import Tokens
from e2i.tools.opik.jsonable import bounded, jsonable, storable

Document = dict[str, Any]
SpanType = Literal["general", "tool", "llm", "guardrail"]
STATUSES = ("ok", "error")
"""What ``set_status`` accepts."""
LONGEST_TRACEBACK = 16_000
MOST_EVENTS = 1_000
"""Number of events that a span keeps; later ones are counted."""


class Trace:
    """A trace as this process knows it."""

    def __init__(self, identity: str, *, is_sampled: bool, joined: bool = False) -> None:
        self.id = identity
        self.is_sampled = is_sampled
        self.joined = joined
        """True when it began elsewhere. Its document is then written only if Opik does not have it."""
        self.root: Span | None = None
        """The span that it began with in this process."""
        self.announced = False
        """True when a document of the trace is on its way, perhaps one without an end."""


class Recording(Protocol):
    """Source of the time, and receiver of the scores that are given to a span."""

    now: Callable[[], datetime]
    project_name: str

    def metric(self, span: Span, name: str, value: float) -> None:
        """Records a number for a span."""


class Span:
    """One piece of work of an agent. ``input`` and ``output`` may be set to anything; times are UTC.

    What is set after its end is lost. Usable from any thread.
    """

    __slots__ = (
        "__weakref__",
        "_error",
        "_events",
        "_omitted",
        "agent",
        "announced",
        "ended",
        "input",
        "metadata",
        "name",
        "output",
        "parent_span_id",
        "project_name",
        "recorder",
        "span_id",
        "started",
        "trace",
        "type",
    )  # fmt: skip

    def __init__(
        self,
        recorder: Recording,
        name: str,
        trace: Trace,
        identity: str,
        *,
        parent: str | None = None,
        type: SpanType = "general",  # noqa: A002 - Opik's own word
        metadata: Mapping[str, Any] | None = None,
        agent: str | None = None,
    ) -> None:
        self.recorder = recorder
        self.agent = agent
        """The agent whose work it is a piece of: of the nearest ``trace_agent`` around it."""
        self.trace = trace
        self.project_name = recorder.project_name
        self.name = name
        self.span_id = identity
        self.parent_span_id = parent
        self.type = type
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.input: Any = None
        self.output: Any = None
        self.started = recorder.now()
        self.ended: datetime | None = None
        self.announced = False
        """True when a document of the span is on its way, perhaps one without an end."""
        self._events: list[Document] = []
        self._omitted = 0
        self._error: Document | None = None
        trace.root = trace.root or self

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Raises ValueError for one that a span does not have, which would be lost."""
        if not hasattr(type(self), name):  # slots and properties are attributes of the class
            near = nearest(name, ("input", "output", "metadata"))
            meant = f"did you mean `{near[0]}`? " if near else ""
            raise BadCall(
                f"a span has no attribute {name!r}",
                hint=f"{meant}`input` and `output` can be set; use set_attribute(key, value) for other facts",
            )
        super().__setattr__(name, value)

    @property
    def trace_id(self) -> str:
        """The id of its trace in Opik."""
        return self.trace.id

    def set_attribute(self, key: str, value: Any) -> None:
        """Adds to the metadata. Values that JSON does not have are kept as text."""
        self.metadata[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Adds an event with its time to the metadata's ``events``: Opik has no events of its own."""
        if len(self._events) >= MOST_EVENTS:
            self._omitted += 1
            return
        self._events.append({"name": name, "at": self.recorder.now().isoformat(), "attributes": dict(attributes or {})})

    def set_status(self, status: str, message: str | None = None) -> None:
        """Sets the status: ``ok``, or ``error`` with a message. An exception that ends the span sets ``error``.

        Raises ValueError for a status that is neither.
        """
        if not isinstance(status, str) or status not in STATUSES:
            raise BadCall(f"unknown status {status!r:.80} of a span", hint=f"choose from: {', '.join(STATUSES)}")
        self.metadata["status"] = status
        self._error = _error("error", message or "") if status == "error" else None

    def log_metric(self, name: str, value: float) -> None:
        """Records a number for this span, as a score of the category ``metric``."""
        self.recorder.metric(self, name, value)

    def fail(self, error: BaseException) -> None:
        """Records the exception that ends the span."""
        self.metadata["status"] = "error"
        lines = "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]
        self._error = _error(type(error).__name__, str(error), lines)

    def document(self, **facts: Any) -> Document:
        """Returns the span as it is now, as Opik's REST API takes it. It is JSON. ``facts`` are added."""
        now = self.recorder.now()
        metadata = {**self.metadata, **({"events": list(self._events)} if self._events else {})}
        if self._omitted:
            metadata["events_omitted"] = self._omitted
        document = {
            "id": self.span_id,
            "trace_id": self.trace.id,
            "parent_span_id": self.parent_span_id,
            "name": self.name,
            "type": self.type,
            "start_time": written(self.started),
            "end_time": written(self.ended) if self.ended else None,
            "last_updated_at": written(now),
            "input": _mapping("input", self.input),
            "output": _mapping("output", self.output),
            "metadata": bounded(jsonable(metadata)),
            "error_info": self._error,
            "source": "sdk",
            **facts,
        }
        return {name: value for name, value in document.items() if value is not None}


class LLMSpan(Span):
    """A call to a language model."""

    __slots__ = ("model", "provider", "tokens")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = ""
        self.provider: str | None = None
        self.tokens: Tokens | None = None

    def log_tokens(self, input_tokens: int, output_tokens: int) -> None:
        """Records the tokens of the call; a second call replaces the first. Raises ValueError for negative numbers."""
        for name, count in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
            if not _is_count(count):
                raise BadCall(f"{name} must be a whole number of at least 0, not {count!r:.80}", hint="such as 1200")
        self.tokens = Tokens(int(input_tokens), int(output_tokens))


def _is_count(value: object) -> bool:
    """Return True for whole numbers of any library, as a float too, from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | Integral):
        return False
    number = float(value)
    return math.isfinite(number) and number.is_integer() and number >= 0


def written(moment: datetime) -> str:
    """Returns a time as Opik's SDK writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc_now() -> datetime:
    """Returns the time now."""
    return datetime.now(UTC)


def _error(kind: str, message: str, lines: str = "") -> Document:
    return {"exception_type": kind, "message": storable(message[:2000]), "traceback": storable(lines)}


def _mapping(name: str, value: Any) -> Document | None:
    """Returns an input or output as the mapping that Opik shows; another value is put below its name."""
    if value is None:
        return None
    plain = jsonable(value)
    return bounded(plain if isinstance(plain, dict) else {name: plain})
