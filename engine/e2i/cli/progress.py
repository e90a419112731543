"""Events of a run go in; what is going on comes out: a live table on a terminal, plain lines elsewhere, or JSON
lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from e2i.cli import documents, streams
from e2i.cli.problems_view import safe
from e2i.execution.events import Event

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

    def tell(self, event: Event) -> None: ...


class JsonLines:
    """One JSON document a line on standard output. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def tell(self, event: Event) -> None:
        try:
            print(documents.dumps(event.to_json()), flush=True)
        except BrokenPipeError:
            streams.mute(sys.stdout)


class Lines:
    """Plain lines on standard error, for logs and pipes. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def tell(self, event: Event) -> None:
        if event.name != "step.progress":
            try:
                for line in describe(event):
                    click.echo(line, err=True)
            except BrokenPipeError:
                streams.mute(sys.stderr)


class Screen:
    """A live table on the terminal: what runs and for how long, how many wait; what is done scrolls up above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._running: dict[str, _Running] = {}
        self._steps = 0
        self._done = 0
        self._began = time.monotonic()
        self._stopping = False
        # Last, because it draws the table at once.
        self._live = Live(console=self._console, refresh_per_second=8, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def tell(self, event: Event) -> None:
        match event.name:
            case "run.started":
                self._steps = event.facts["steps"]
            case "step.started":
                self._running[event.step or ""] = _Running(time.monotonic(), event.facts["uses"])
            case "step.progress" if event.step in self._running:
                running = self._running[event.step]
                running.done, running.total, running.note = (event.facts[name] for name in ("done", "total", "note"))
            case "step.finished":
                self._running.pop(event.step or "", None)
                self._done += 1
            case "run.stopping":
                self._stopping = True
        if event.name not in ("step.started", "step.progress"):
            for line in describe(event):
                self._console.print(Text.from_ansi(line))

    def _table(self) -> Group:
        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for step, running in self._running.items():
            bar: Any = ProgressBar(running.total, running.done, width=24) if running.total else Text("")
            count = f"{running.done}/{running.total}" if running.total else ""
            table.add_row(
                Text("▸", style="cyan"), Text(step, style="bold"), running.uses, f"{now - running.since:6.1f} s", bar,
                count, Text(safe(running.note)[:60], style="dim"),
            )  # fmt: skip
        waiting = self._steps - self._done - len(self._running)
        state = "stopping, Ctrl-C again ends it at once" if self._stopping else f"{waiting} waiting"
        if not self._running and self._done == self._steps:
            state = "delivering to the trackers"
        head = Text(f"{self._done}/{self._steps} done · {state} · {now - self._began:.0f} s", style="dim")
        return Group(table, head)


@dataclass(slots=True)
class _Running:
    since: float
    uses: str
    done: int = 0
    total: int = 0
    note: str = ""


def describe(event: Event) -> Iterator[str]:
    """The lines that tell a person of an event."""
    facts = event.facts
    match event.name:
        case "run.started":
            yield f"run {click.style(event.run, bold=True)} of {facts['name']}, {facts['steps']} steps"
        case "step.started":
            yield f"  ▸ {event.step} ({facts['uses']})"
        case "step.finished":
            sign, colour = SIGNS[facts["status"]]
            took = f"  {facts['seconds']:.1f} s" if facts["attempts"] else ""
            note = f"  {click.style(safe(facts['note']), dim=True)}" if facts["note"] else ""
            status = click.style(facts["status"], fg=colour)
            yield f"  {click.style(sign, fg=colour)} {event.step}  {status}{took}{note}"
            yield from _error(facts["error"])
        case "step.retried":
            error = facts["error"]["message"]
            yield f"  ↻ {event.step}  attempt {facts['attempt']} in {facts['wait']:.1f} s: {safe(error)}"
        case "tool.degraded":
            refused = f", {facts['refused']} refused" if facts["refused"] else ""
            problem = f": {safe(facts['problem'])}" if facts["problem"] else ""
            yield click.style(
                f"  ! {facts['tool']}: {facts['waiting']} waiting in the outbox{refused}{problem}", fg="yellow"
            )
        case "run.stopping":
            running = ", ".join(facts["running"])
            yield click.style(f"stopping: {running or 'nothing'} still runs; Ctrl-C again ends it at once", fg="yellow")


def _error(error: dict[str, Any] | None) -> Iterator[str]:
    if not error:
        return
    for index, line in enumerate(safe(error["message"]).splitlines()):
        code = click.style(f" [{error['code']}]", dim=True) if index == 0 else ""
        yield f"      {click.style(line, fg='red')}{code}"
    if error["hint"]:
        yield f"      {safe(error['hint'])}"
