"""Write events of runs and ends of commands to the operator's log.

In: events. Out: one line each, as text or JSON, without secrets. Values of outputs and parameters are not logged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, UnsetType
from msgspec.structs import fields

from e2i.alerting import Log
from e2i.catalog.step_error import ErrorDocument
from e2i.documents import JsonDocument, plain
from e2i.execution.events import Event, HookFinished, RunFinished, StepFinished, ToolCircuit, ToolDegraded
from e2i.execution.state import Status
from e2i.operations.logfile import LogFile
from e2i.resilience.breaker import State
from e2i.spec import sizes

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
Fact = str | int | float | bool | None
LEVEL: Mapping[str, Level] = {
    "step.progress": "debug",
    "step.retried": "warning",
    "step.warning": "warning",
    "spec.warning": "warning",
    "artifact.corrupt": "error",
    "state.corrupt": "error",
    "log.cut": "warning",
    "tool.degraded": "warning",
    "tool.circuit": "warning",
    "telemetry.waiting": "warning",
    "run.stopping": "warning",
    "run.retried": "warning",
    "setting.failed": "warning",
}
"""The levels of events whose type decides; else ``info``."""
OWN = ("run", "step", "at", "schema_version")
"""Fields of an event that are fields of the line."""


class LogLine(JsonDocument, frozen=True, kw_only=True):
    """One line of the log, with `format: json`."""

    at: Annotated[str, Meta(description="Time in UTC, ISO 8601.")]
    level: Level
    event: Annotated[str, Meta(description="An event of `e2i run --json`, `run.failed`, or `command.finished`.")]
    run: Annotated[str | None, Meta(description="The run's id, if any.")] = None
    step: Annotated[str | None, Meta(description="The step's id, if any.")] = None
    pid: Annotated[int, Meta(description="The process that wrote the line.")]
    facts: Annotated[dict[str, Fact], Meta(description="The fields of the event that are single values.")]


class OperatorLog:
    """The log of a store. Raises OSError when it cannot be written."""

    def __init__(self, settings: Log, path: Path, mask: Callable[[str], str]) -> None:
        self._least = LEVELS.index(settings.level)
        self._is_json = settings.format == "json"
        self._file = LogFile(path, most=sizes.parse(settings.max_bytes), keep=settings.keep)
        self._mask = mask

    def event(self, event: Event) -> None:
        """Writes an event of a run, if its level is high enough."""
        level = level_of(event)
        if LEVELS.index(level) >= self._least:
            name = str(event.__struct_config__.tag)
            self._write(event.at, level, name, event.run or None, event.step, facts_of(event))

    def line(self, at: float, level: Level, name: str, facts: Mapping[str, Fact], run: str | None = None) -> None:
        """Writes a line that is no event of a run. ``at``: seconds since the epoch."""
        if LEVELS.index(level) >= self._least:
            self._write(at, level, name, run, None, dict(facts))

    def _write(
        self, at: float, level: Level, name: str, run: str | None, step: str | None, facts: dict[str, Fact]
    ) -> None:
        hidden = {key: self._mask(value) if isinstance(value, str) else value for key, value in facts.items()}
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._is_json:
            line = LogLine(at=moment, level=level, event=name, run=run, step=step, pid=os.getpid(), facts=hidden)
            self._file.append(json.dumps(plain(line), ensure_ascii=True, separators=(",", ":")))
            return
        known: dict[str, Fact] = {"run": run, "step": step, **hidden}
        shown = (f"{key}={_text(value)}" for key, value in known.items() if value not in (None, ""))
        self._file.append(" ".join((moment, f"{level.upper():<7}", f"[{os.getpid()}]", name, *shown)))


def level_of(event: Event) -> Level:
    """Returns the level of an event: by its status where it has one, else by its type."""
    match event:
        case StepFinished(status=Status.FAILED):
            return "error"
        case StepFinished(status=Status.DEFERRED) | StepFinished(status=Status.CANCELLED):
            return "warning"
        case RunFinished(status="failed"):
            return "error"
        case RunFinished(status="interrupted") | RunFinished(degraded=True):
            return "warning"
        case HookFinished(delivered=False):
            return "warning"
        case ToolCircuit(state=State.CLOSED):
            return "info"
        case ToolDegraded(refused=refused) if refused:
            return "error"
    return LEVEL.get(str(event.__struct_config__.tag), "info")


def facts_of(event: Event) -> dict[str, Fact]:
    """Returns the fields of an event that are single values; an error as its code, message and hint."""
    found: dict[str, Fact] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in OWN or isinstance(value, UnsetType):
            continue
        if isinstance(value, ErrorDocument):
            found |= {"code": value.code, "message": value.message, "hint": value.hint}
            if value.outage is True:
                found["outage"] = True
        elif isinstance(value, Struct):
            found |= {name: item for name, item in plain(value).items() if isinstance(item, Fact)}
        elif isinstance(value, Fact):
            found[field.name] = str(value) if isinstance(value, str) else value
    if isinstance(event, RunFinished):
        failed = (f"{error.code} ({step})" for step, end in event.steps.items() if (error := end.error))
        found["errors"] = ", ".join(failed)
    return found


def _text(value: Fact) -> str:
    """Returns a value for a text line: quoted where it has spaces, quotes or control characters."""
    if isinstance(value, str):
        plain_word = value.isascii() and value.isprintable() and not set(value) & set(' "=\\')
        return value if plain_word else json.dumps(value, ensure_ascii=True)
    return str(value).lower() if isinstance(value, bool) else str(value)
