"""``OpikConnector``: traces, metrics, feedback and evaluations of agents. In: an agent's work. Out: traces in Opik.

What is observed goes into the store's outbox when a span ends, and from there to Opik in the background.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from msgspec.structs import replace

from e2i.errors import E2IError
from e2i.mlops import arguments, loading
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import BadCall, content, mistakes, text
from e2i.mlops.tracing import Opening, agent, current, traced
from e2i.telemetry.entries import Entry
from e2i.tools.opik import OpikSettings as OpikConfig
from e2i.tools.opik import bridge, global_client
from e2i.tools.opik.documents import Noted
from e2i.tools.opik.observation import LLMSpan, Span
from e2i.tools.opik.outages import is_outage
from e2i.tools.opik.recorder import Recorder
from e2i.tools.opik.writer import Writer

__all__ = ["LLMSpan", "OpikConfig", "OpikConnector", "Span"]

log = logging.getLogger(__name__)
Client = TypeVar("Client")
Metric = str | Callable[[Mapping[str, Any], Any], float] | Any
"""The name of one of Opik's metrics, an Opik metric object, or a function of a case and its output."""
PAUSE = 30.0
"""Seconds for which the ends of traces do not wait for Opik after it did not take one."""


class OpikConnector(Connector[OpikConfig]):
    """Opik for agents. Outages never raise out of tracing; a wrong argument raises ValueError."""

    tool: ClassVar[str] = "opik"

    def open(self) -> None:
        """Point the SDK's own clients of this process to the same place, and begin to take spans."""
        self.guard = replace(self.guard, classify=is_outage)
        self._writer = Writer(self._put)
        environment = self.config.environment or self.program.environment
        self._recorder = Recorder(self.config, environment, self._writer.submit)
        self._not_before = 0.0
        global_client.point(self.config, self.home, self._take, self._settle)

    def trace_agent(
        self,
        agent_name: str,
        operation: str,
        trace_id: str | None = None,
        parent_span_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Opening[Span]:
        """Trace a block of an agent's work: ``async with`` or ``with`` it to open the span ``agent_name.operation``.

        Inside another block, the span is below that one's. ``trace_id`` and ``parent_span_id`` join a trace and a span
        that were made elsewhere; ids of any form are accepted. Raises ValueError for an empty name.
        """
        text(agent_name, "agent_name")
        text(operation, "operation")
        extra = {} if metadata is None else arguments.mapping("metadata", metadata, 'such as {"brand": "Kisqali"}')
        facts = {**extra, "agent_name": agent_name, "operation": operation}
        given = (_text("trace_id", trace_id), _text("parent_span_id", parent_span_id))

        def begin() -> Span:
            trace, parent = given if any(given) or current.get() is not None else bridge.outer() or given
            return self._recorder.begin(
                f"{agent_name}.{operation}",
                self._above(),
                trace_id=trace,
                parent_span_id=parent,
                metadata=facts,
                agent=agent_name,
            )

        return Opening(begin, self)

    def trace_llm_call(
        self,
        model: str,
        parent_span: Span | None = None,
        prompt_template: str | None = None,
        provider: str | None = None,
    ) -> Opening[LLMSpan]:
        """Trace a call to a language model below ``parent_span`` (None: the open span). Use ``log_tokens`` inside.

        The cost is added where the price of the model is known.
        """
        text(model, "model")
        arguments.optional_text("prompt_template", prompt_template, 'such as "Explain {feature}"')
        if provider is not None:
            text(provider, "provider")
        if parent_span is not None:
            _check_span("parent_span", parent_span)
        metadata = {} if prompt_template is None else {"prompt_template": prompt_template}

        def begin() -> LLMSpan:
            above = parent_span or self._above()
            span = cast("LLMSpan", self._recorder.begin("llm_call", above, type="llm", metadata=metadata))
            span.model, span.provider = model, provider
            return span

        return Opening(begin, self)

    def log_metric(self, name: str, value: float, span: Span | None = None) -> None:
        """Record a number, on a span, or on the trace that is open here. Raises ValueError without either."""
        text(name, "the name of a metric")
        if span is not None:
            _check_span("span", span)
            span.log_metric(name, value)
            return
        above = self._above()
        if above is None:
            raise BadCall(
                f"no trace is open for the metric {arguments.shown(name)}",
                hint="pass a span, or call it inside trace_agent",
            )
        self._recorder.metric(above, name, value, on_trace=True)

    def log_feedback(
        self, trace_id: str, score: float, feedback_type: str = "quality", reason: str | None = None
    ) -> None:
        """Record a judgement of a trace, as a score named ``feedback_type``. It replaces one of the same name."""
        self.permit("log_feedback", agent())
        text(feedback_type, "the name of a score (feedback_type)")
        if arguments.optional_text("reason", reason, "a sentence about the score") is not None:
            content(str(reason), "reason")
        self._recorder.feedback(_text("trace_id", trace_id) or "", feedback_type, score, reason)

    @traced
    async def evaluate_agent(
        self,
        agent_name: str,
        test_cases: Sequence[Mapping[str, Any]],
        metrics: Sequence[Metric],
        task: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> dict[str, float]:
        """Return the mean of each metric, by name, over the test cases; kept as an experiment in Opik.

        A case has ``input``, ``expected_output`` (for Opik's metrics: the reference) and, without a ``task``,
        ``output``. ``task(case)``, plain or async, returns a mapping with ``output``. A metric is a name (of those that
        need no language model), an object of Opik, or a function of the case and its output. Raises ValueError for a
        wrong case or metric, ToolUnavailable when Opik is down, and what the task raises.
        """
        from e2i.tools.opik import evaluation

        text(agent_name, "agent_name")
        with mistakes():
            arguments.text("agent_name", agent_name, "the experiment is named after it")
            cases = _listed("test_cases", test_cases, 'write [{"input": …, "expected_output": …, "output": …}]')
            named = _listed("metrics", metrics, 'write ["equals"], with names, objects of Opik or functions')
            _check_task(task)
            asked = evaluation.Evaluation(agent_name, cases, named, task)
            await loading.alibrary(self.tool, self.config)
            runner = evaluation.Runner(self.config, self.home, self.guard, self._recorder.environment)
            evaluated = await runner.run(asked)
        if (span := current.get()) is not None:
            span.set_attribute("experiment", evaluated.experiment)
        return evaluated.means

    def track_anthropic(self, client: Client) -> Client:
        """Return the client, which from now on traces its calls. Raises ToolUnavailable without Anthropic's SDK."""
        from e2i.tools.opik import integrations

        return integrations.track(client, "anthropic", self.config)

    def track_openai(self, client: Client) -> Client:
        """Return the client, which from now on traces its calls. Raises ToolUnavailable without OpenAI's SDK."""
        from e2i.tools.opik import integrations

        return integrations.track(client, "openai", self.config)

    def leave(self, span: Span, *, hurried: bool) -> None:
        """Wait until the span is durable and, at the end of the outermost one, delivered if Opik is up.

        Does not wait in a thread whose event loop is running.
        """
        if not span.trace.is_sampled or _in_loop():
            return
        self._writer.written().result()
        if span.trace.root is span and not hurried:
            self._settle()

    async def aleave(self, span: Span, *, hurried: bool) -> None:
        """Do the same without blocking the event loop."""
        if not span.trace.is_sampled:
            return
        await asyncio.wrap_future(self._writer.written())
        if span.trace.root is span and not hurried:
            await asyncio.to_thread(self._settle)

    def _take(self, noted: Sequence[Noted]) -> None:
        self._recorder.take(noted)
        self._writer.written().result()

    def _settle(self) -> None:
        """Wait until Opik has everything, within the deadline; not at all when it lately did not take something."""
        if time.monotonic() < self._not_before:
            return
        try:
            done = self.program.outgoing.flush(
                "opik", self.config, self.guard, self.config.deadline, self._recorder.run
            )
        except (OSError, sqlite3.Error, E2IError) as error:
            log.warning("Opik gets the rest later: %s: %s", type(error).__name__, error)
            return
        if not done:
            self._not_before = time.monotonic() + PAUSE

    def _above(self) -> Span | None:
        """Return the span that is open here, if it goes to the same Opik."""
        above = current.get()
        return above if above is not None and above.recorder is self._recorder else None

    def _put(self, entries: Sequence[Entry]) -> None:
        self.program.outgoing.put(entries)
        self.program.outgoing.deliver("opik", self.config, self.guard)


def _check_span(name: str, value: object) -> None:
    """Raise BadCall for what is no span."""
    if not isinstance(value, Span):
        raise BadCall(
            f"`{name}` is {arguments.shown(value)}, not a span",
            hint="pass what `async with trace_agent(…) as span` gives",
        )


def _check_task(task: object) -> None:
    """Raise BadCall for what cannot be called."""
    if task is not None and not callable(task):
        hint = 'pass a function of a case that returns {"output": …}'
        raise BadCall(f"`task` is {arguments.shown(task)}, and cannot be called", hint=hint)


def _listed(name: str, value: object, hint: str) -> Sequence[Any]:
    """Return a list, which may be empty, or one text as a list of one."""
    if isinstance(value, str) or (isinstance(value, list | tuple) and not value):
        return [value] if value else []
    return arguments.items(name, value, hint)


def _text(name: str, identity: object) -> str | None:
    """Return an id as text; None for none. Raises BadCall for what is no id."""
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int | UUID)):
        raise BadCall(f"`{name}` is {arguments.shown(identity)}, not an id", hint="a text, a number or a UUID")
    return None if identity is None or not str(identity).strip() else text(str(identity).strip(), name)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
