"""Print the progress of a run as plain lines or JSON lines. The terminal table is in ``screen``.

In: events of a run. Out: lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.execution.events import Event
from e2i.spec import sizes

SIGNS = {
    "succeeded": ("✓", "green"),
    "reused": ("=", "blue"),
    "failed": ("✗", "red"),
    "skipped": ("-", "bright_black"),
    "deferred": ("?", "yellow"),
    "cancelled": ("×", "yellow"),
}


class Reporter(AbstractContextManager["Reporter"], Protocol):
    """Receives every event of a run while it is open."""

    def emit(self, event: Event) -> None: ...

    def pause(self) -> None:
        """Restores the terminal: the process is about to be stopped."""

    def resume(self) -> None:
        """Redraws the terminal: the process was continued."""


class JsonLines:
    """Prints one JSON document a line on standard output. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def emit(self, event: Event) -> None:
        print(documents.dumps(event.to_json()), flush=True)


class Lines:
    """Prints plain lines on standard error, for logs and pipes. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def emit(self, event: Event) -> None:
        if event.name != "step.progress":
            for line in describe(event):
                click.echo(line, err=True)


def describe(event: Event) -> Iterator[str]:
    """Yields the lines that describe an event to a person."""
    facts = event.facts
    match event.name:
        case "run.started":
            verb = "resuming run" if facts["resumed"] else "run"
            why = f" ({facts['note']})" if facts["note"] else ""
            run, count = click.style(event.run, bold=True), counted(facts["steps"], "step")
            yield f"{verb} {run} of {facts['name']}, {count}{why}"
        case "step.started":
            yield f"  ▸ {event.step} ({facts['uses']})"
        case "step.finished":
            sign, colour = SIGNS[facts["status"]]
            took = f"  {facts['seconds']:.1f} s" if facts["attempts"] else ""
            note = f"  {click.style(safe(facts['note']), dim=True)}" if facts["note"] else ""
            status = click.style(facts["status"], fg=colour)
            yield f"  {click.style(sign, fg=colour)} {event.step}  {status}{took}{note}"
            yield from _error(facts["error"])
        case "step.waiting":
            process = facts["holder"].partition(":")[0]
            yield f"  … {event.step}  waiting for run {facts['by']} (process {process}), which is running the same step"
        case "step.retried":
            error = facts["error"]["message"]
            yield f"  ↻ {event.step}  attempt {facts['attempt']} in {facts['wait']:.1f} s: {safe(error)}"
        case "run.stopping":
            running = ", ".join(facts["running"])
            now = f"waiting for {running}; press Ctrl-C again to stop now" if running else "no step is running"
            yield click.style(f"stopping: {now}", fg="yellow")
        case _:
            if warning := _warning(event):
                yield click.style(f"  ! {warning}", fg="yellow")


def _warning(event: Event) -> str | None:
    """Returns the text of an event that warns, or None for any other event."""
    facts = event.facts
    match event.name:
        case "spec.warning":
            problem = facts["problem"]
            at = f"{problem['file']}:{problem['line']}:{problem['column']}"
            return f"{safe(at)}: {safe(problem['message'])} [{problem['code']}]"
        case "artifact.corrupt":
            name, kept = facts["digest"][:19], safe(facts["kept"])
            return f"corrupt artifact {name}… moved to {kept}; it will be rebuilt"
        case "log.cut":
            return f"{event.step}: log truncated, it exceeds {sizes.text(facts['limit'])}"
        case "state.corrupt":
            return f"corrupt store state; history starts empty. The corrupt file is kept as {safe(facts['kept'])}"
        case "tool.degraded":
            waiting = f"{facts['waiting']} waiting in the outbox" if facts["waiting"] else ""
            refused = f"{facts['refused']} refused" if facts["refused"] else ""
            counts = ", ".join(filter(None, (waiting, refused)))
            return ": ".join(filter(None, (facts["tool"], counts, safe(facts["problem"] or ""))))
        case "telemetry.waiting":
            return f"{facts['tool']}: {elsewhere(facts)}"
    return None


def elsewhere(facts: Mapping[str, Any]) -> str:
    """Returns a sentence about entries for a tracker that the settings do not name."""
    name, profile = facts["tool"], facts["profile"]
    sync = (
        f"e2i sync --profile {profile}"
        if profile
        else f"configure it again under `tools: {name}:` in config/, then e2i sync"
    )
    return f"{counted(facts['waiting'], 'entry')} waiting for {safe(facts['tracker'])}: {sync}"


def _error(error: dict[str, Any] | None) -> Iterator[str]:
    if not error:
        return
    for index, line in enumerate(safe(error["message"]).splitlines()):
        code = click.style(f" [{error['code']}]", dim=True) if index == 0 else ""
        yield f"      {click.style(line, fg='red')}{code}"
    if error["hint"]:
        yield f"      {safe(error['hint'])}"
