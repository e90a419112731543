"""Build the documents of Opik's REST API. In: telemetry of one run. Out: the run's trace, its spans and their scores.

Pure, and equal for equal entries: a repeated delivery writes the same ids again.

run -> trace; step -> span; matrix -> span around its combinations; child run (a trial) and attempt -> span below the
step's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from e2i.telemetry.entries import Entry
from e2i.tools.opik import LARGEST_SCORE, costs
from e2i.tools.opik.identity import span_id, trace_id
from e2i.tools.opik.jsonable import LARGEST, bounded

Document = dict[str, Any]


class StepFacts(Struct):
    """Telemetry of one step so far."""

    finished: Mapping[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    """Calls of language models, in order."""
    warnings: list[str] = field(default_factory=list)


class Traced(Struct, frozen=True):
    """Documents of a run: its trace, its spans by id, and the scores of spans."""

    trace: Document
    spans: dict[str, Document]
    scores: dict[tuple[str, str], Document]
    """By the span's id and the score's name."""


def build(entries: Sequence[Entry], project: str) -> Traced:
    """Return the documents of the run that all the entries (at least one) belong to."""
    run = entries[0].run
    started: Mapping[str, Any] = {}
    ended: Mapping[str, Any] = {}
    steps: dict[str, StepFacts] = {}
    for entry in entries:
        match entry.kind:
            case "run.started":
                started, ended = entry.body, {}
            case "run.finished":
                ended = entry.body
            case "run.abandoned":
                ended = {"status": "interrupted", **entry.body}
            case _:
                _note(steps.setdefault(entry.body["step"], StepFacts()), entry)
    builder = _Builder(run, _began(entries), project)
    for step, facts in sorted(steps.items()):
        builder.step(step, facts)
    builder.groups()
    return Traced(builder.trace_of(started, ended, steps), builder.spans, builder.scores)


def _note(facts: StepFacts, entry: Entry) -> None:
    body = entry.body
    match entry.kind:
        case "step.finished":
            facts.finished = body
        case "param":
            facts.params[body["name"]] = body["value"]
        case "metric":
            facts.metrics[body["name"]] = body["value"]
        case "attachment":
            facts.attachments[body["name"]] = body["artifact"]
        case "child":
            facts.children[body["name"]] = body
        case "llm":
            facts.calls.append(body)
        case "warning":
            facts.warnings.append(body["message"])
        case kind:
            raise ValueError(f"unknown telemetry type: {kind}")


def _began(entries: Sequence[Entry]) -> int:
    """Return when the run first started, in milliseconds; the first known time as long as that is unknown."""
    starts = [entry.body["started_ms"] for entry in entries if entry.kind == "run.started"]
    moments = [entry.body[name] for entry in entries for name in ("started_ms", "at_ms") if entry.body.get(name)]
    return min(starts or moments, default=0)


class _Builder:
    """Collects the documents of one run."""

    def __init__(self, run: str, began: int, project: str) -> None:
        self.run = run
        self.began = began
        self.project = project
        self.trace = trace_id(run)
        self.spans: dict[str, Document] = {}
        self.scores: dict[tuple[str, str], Document] = {}
        self._combinations: dict[str, list[Mapping[str, Any]]] = {}

    def step(self, step: str, facts: StepFacts) -> None:
        """Add the spans of a step. Its own span is added when the step has ended, those of its children earlier."""
        own = self._id(step)
        for name, child in sorted(facts.children.items()):
            self._child(own, step, name, child)
        for number, call in enumerate(facts.calls):
            self._call(own, step, number, call)
        done = facts.finished
        if done is None:
            return
        group = done.get("group")
        if group is not None:
            self._combinations.setdefault(group, []).append(done)
        for number, attempt in enumerate(_timed_attempts(done), start=1):
            self._attempt(own, step, number, attempt)
        metadata = {
            name: done.get(name) for name in ("uses", "agent", "needs", "attempts", "status", "group") if done.get(name)
        }
        known: dict[str, Any] = {
            "params": facts.params,
            "metrics": facts.metrics,
            "attachments": facts.attachments,
            "warnings": list(dict.fromkeys(facts.warnings)),
        }
        self._add(
            own,
            name=step,
            type="tool",
            parent_span_id=None if group is None else self._id("group", group),
            start_time=_time(_start(done, self.began)),
            end_time=_time(_end(done, self.began)),
            input=bounded(done.get("inputs") or {}),
            output=bounded(done.get("outputs") or {}),
            metadata=bounded({**metadata, **{name: value for name, value in known.items() if value}}),
            tags=[done["status"]],
            error_info=_error(done.get("error"), done["status"]),
        )
        for name, value in sorted(facts.metrics.items()):
            if abs(value) <= LARGEST_SCORE:  # a larger one is in the metadata only
                score = {"id": own, "name": name, "value": value, "project_name": self.project, "source": "sdk"}
                self.scores[own, name] = score

    def groups(self) -> None:
        """Add a span around the combinations of each matrix, from the first start to the last end so far."""
        for group, combinations in sorted(self._combinations.items()):
            statuses = sorted({str(combination["status"]) for combination in combinations})
            self._add(
                self._id("group", group),
                name=group,
                type="general",
                start_time=_time(min(_start(combination, self.began) for combination in combinations)),
                end_time=_time(max(_end(combination, self.began) for combination in combinations)),
                metadata={"combinations": len(combinations), "statuses": statuses},
                tags=["matrix"],
            )

    def trace_of(
        self, started: Mapping[str, Any], ended: Mapping[str, Any], steps: Mapping[str, StepFacts]
    ) -> Document:
        status = str(ended.get("status", "running"))
        finished = {step: facts.finished for step, facts in sorted(steps.items()) if facts.finished}
        failed = {step: done["error"] for step, done in finished.items() if done.get("error")}
        metadata = {
            "run": self.run,
            "spec": started.get("spec"),
            "profile": started.get("profile"),
            "status": status,
            "steps": {step: done["status"] for step, done in finished.items()},
        }
        document = {
            "id": self.trace,
            "project_name": self.project,
            "name": started.get("pipeline", self.run),
            "start_time": _time(self.began),
            "end_time": _time(ended["ended_ms"]) if ended else None,
            "input": bounded(dict(started.get("params") or {})),
            "output": {"status": status} if ended else None,
            "metadata": bounded({name: value for name, value in metadata.items() if value}),
            "tags": [status],
            "error_info": _error(
                {"message": "; ".join(_described(s, e) for s, e in failed.items()), "code": "run-failed"}, status
            )
            if status == "failed"
            else None,
            "source": "sdk",
        }
        return _without_nones(document)

    def _child(self, parent: str, step: str, name: str, child: Mapping[str, Any]) -> None:
        self._add(
            self._id(step, "child", name),
            name=name,
            type="general",
            parent_span_id=parent,
            start_time=_time(child["started_ms"]),
            end_time=_time(child["ended_ms"]),
            input=bounded(dict(child.get("params") or {})),
            output=bounded(dict(child.get("metrics") or {})),
            tags=[child["status"]],
            error_info=_error(None, child["status"]),
        )

    def _call(self, parent: str, step: str, number: int, call: Mapping[str, Any]) -> None:
        used, found = _tokens(call), costs.price(call["model"], call.get("provider"))
        estimated = None if used is None or found is None else costs.cost(used, found)
        error = call.get("error")
        self._add(
            self._id(step, "llm", str(number)),
            name=call["name"],
            type="llm",
            parent_span_id=parent,
            start_time=_time(call["started_ms"]),
            end_time=_time(call["ended_ms"]),
            input=bounded({"prompt": call["input"]}) if call["input"] else None,
            output=bounded({"answer": call["output"]}) if call["output"] else None,
            model=call["model"],
            provider=call.get("provider") or (found.litellm_provider if found else None),
            usage=None if used is None else used.usage,
            total_estimated_cost=estimated if call.get("cost") is None else call["cost"],
            tags=["failed" if error else "succeeded"],
            error_info=_error({"message": error, "code": "llm-call"} if error else None, "succeeded"),
        )

    def _attempt(self, parent: str, step: str, number: int, attempt: Mapping[str, Any]) -> None:
        error = attempt.get("error")
        self._add(
            self._id(step, "attempt", str(number)),
            name=f"attempt {number}",
            type="general",
            parent_span_id=parent,
            start_time=_time(attempt["started_ms"]),
            end_time=_time(attempt["ended_ms"]),
            tags=["failed" if error else "succeeded"],
            error_info=_error(error, "failed" if error else "succeeded"),
        )

    def _id(self, *path: str) -> str:
        return span_id(self.run, *path)

    def _add(self, own: str, **facts: Any) -> None:
        document = {"id": own, "trace_id": self.trace, "project_name": self.project, "source": "sdk", **facts}
        self.spans[own] = _without_nones(document)


def _tokens(call: Mapping[str, Any]) -> costs.Tokens | None:
    given, made = call.get("input_tokens"), call.get("output_tokens")
    return None if given is None or made is None else costs.Tokens(given, made)


def _timed_attempts(done: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Add the attempts of a retried step, if the times of each are known."""
    attempts = done.get("attempts")
    if not isinstance(attempts, list) or len(attempts) < 2:
        return []
    return attempts if all("started_ms" in attempt and "ended_ms" in attempt for attempt in attempts) else []


def _start(done: Mapping[str, Any], began: int) -> int:
    """Return when a step started; for a skipped step, the start of the run."""
    return int(done.get("started_ms") or began)


def _end(done: Mapping[str, Any], began: int) -> int:
    return int(done.get("ended_ms") or _start(done, began))


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _error(error: Any, status: str) -> Document | None:
    """Return Opik's error_info of a step's error document (``message``, ``code`` …), or of a plain failed status."""
    if not error and status != "failed":
        return None
    described = error if isinstance(error, Mapping) else {"message": str(error or status)}
    return {
        "exception_type": str(described.get("code") or described.get("type") or status),
        "message": str(described.get("message", status))[:2000],
        "traceback": str(described.get("traceback") or described.get("hint") or "")[:LARGEST],
    }


def _described(step: str, error: Any) -> str:
    return f"{step}: {error.get('message', error) if isinstance(error, Mapping) else error}"


def _without_nones(document: Document) -> Document:
    return {name: value for name, value in document.items() if value is not None}
