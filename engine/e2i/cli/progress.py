"""Events of a run go in; what is going on comes out: plain lines or JSON lines. On a terminal, see ``screen``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
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
    """Is told every event while it is open."""

    def emit(self, event: Event) -> None: ...

    def pause(self) -> None:
        """The process is about to be stopped: the terminal is left as it was."""

    def resume(self) -> None:
        """The process goes on."""


class JsonLines:
    """One JSON document a line on standard output. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def emit(self, event: Event) -> None:
        print(documents.dumps(event.to_json()), flush=True)


class Lines:
    """Plain lines on standard error, for logs and pipes. A closed output does not stop the run."""

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
    """The lines that tell a person of an event."""
    facts = event.facts
    match event.name:
        case "run.started":
            again = ", goes on" if facts["resumed"] else ""
            why = f": {facts['note']}" if facts["note"] else ""
            yield f"run {click.style(event.run, bold=True)} of {facts['name']}, {facts['steps']} steps{again}{why}"
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
            yield f"  … {event.step}  waits for run {facts['by']} (process {process}), which is doing the same"
        case "step.retried":
            error = facts["error"]["message"]
            yield f"  ↻ {event.step}  attempt {facts['attempt']} in {facts['wait']:.1f} s: {safe(error)}"
        case "spec.warning":
            problem = facts["problem"]
            at = f"{problem['file']}:{problem['line']}:{problem['column']}"
            yield click.style(f"  ! {safe(at)}: {safe(problem['message'])} [{problem['code']}]", fg="yellow")
        case "artifact.corrupt":
            name, kept = facts["digest"][:19], safe(facts["kept"])
            yield click.style(f"  ! corrupt artifact {name}… moved to {kept}; it will be rebuilt", fg="yellow")
        case "log.cut":
            yield click.style(
                f"  ! {event.step}: the log is longer than {sizes.text(facts['limit'])} and was cut", fg="yellow"
            )
        case "state.corrupt":
            text = "  ! corrupt store state moved; history starts empty. The file is kept as"
            yield click.style(f"{text} {safe(facts['kept'])}", fg="yellow")
        case "tool.degraded":
            waiting = f"{facts['waiting']} waiting in the outbox" if facts["waiting"] else ""
            refused = f"{facts['refused']} refused" if facts["refused"] else ""
            counts = ", ".join(filter(None, (waiting, refused)))
            said = ": ".join(filter(None, (facts["tool"], counts, safe(facts["problem"] or ""))))
            yield click.style(f"  ! {said}", fg="yellow")
        case "telemetry.waiting":
            yield click.style(f"  ! {facts['tool']}: {elsewhere(facts)}", fg="yellow")
        case "run.stopping":
            running = ", ".join(facts["running"])
            now = f"{running} still runs; Ctrl-C again ends it at once" if running else "nothing runs any more"
            yield click.style(f"stopping: {now}", fg="yellow")


def elsewhere(facts: Mapping[str, Any]) -> str:
    """What a person is told of entries for another tracker than the settings name."""
    name, profile = facts["tool"], facts["profile"]
    sync = (
        f"e2i sync --profile {profile}" if profile else f"let `tools: {name}:` in config/ name it again, then e2i sync"
    )
    return f"{facts['waiting']} entries wait for {safe(facts['tracker'])}: {sync}"


def _error(error: dict[str, Any] | None) -> Iterator[str]:
    if not error:
        return
    for index, line in enumerate(safe(error["message"]).splitlines()):
        code = click.style(f" [{error['code']}]", dim=True) if index == 0 else ""
        yield f"      {click.style(line, fg='red')}{code}"
    if error["hint"]:
        yield f"      {safe(error['hint'])}"
