"""Print the progress of a run as plain lines or JSON lines. The terminal table is in ``screen``.

In: events of a run. Out: lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol, Self, assert_never

import click

from e2i.catalog.step_error import ErrorDocument
from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.execution.events import (
    ArtifactCorrupt,
    Event,
    HookFinished,
    LogCut,
    RunFinished,
    RunRetried,
    RunStarted,
    RunStopping,
    RunWaiting,
    SettingFailed,
    SpecWarning,
    StateCorrupt,
    StepFinished,
    StepProgress,
    StepQueued,
    StepRetried,
    StepStarted,
    StepWaiting,
    StepWarned,
    TelemetryWaiting,
    ToolCircuit,
    ToolDegraded,
)
from e2i.resilience.breaker import State
from e2i.spec import sizes
from e2i.store.history import WaitingElsewhere
from e2i.store.shared import NAME as SHARED_STORE

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
        print(documents.dumps(event), flush=True)


class Lines:
    """Prints plain lines on standard error, for logs and pipes. A closed output does not stop the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def emit(self, event: Event) -> None:
        for line in describe(event):
            click.echo(line, err=True)


def describe(event: Event) -> Iterator[str]:
    """Yields the lines that describe an event to a person."""
    match event:
        case RunStarted():
            verb = "resuming run" if event.resumed else "run"
            why = f" ({event.note})" if event.note else ""
            run, count = click.style(event.run, bold=True), counted(event.steps, "step")
            yield f"{verb} {run} of {event.name}, {count}{why}"
        case StepStarted():
            yield f"  ▸ {event.step} ({event.uses})"
        case StepFinished():
            yield from _finished(event)
        case RunWaiting() | StepWaiting() | StepQueued():
            yield _waiting(event)
        case StepRetried():
            yield f"  ↻ {event.step}  attempt {event.attempt} in {event.wait:.1f} s: {safe(event.error.message)}"
        case StepWarned():
            yield click.style(f"  ! {event.step}: {safe(event.message)}", fg="yellow")
        case RunStopping():
            running = ", ".join(event.running)
            now = f"waiting for {running}; press Ctrl-C again to stop now" if running else "no step is running"
            yield click.style(f"stopping: {now}", fg="yellow")
        case SpecWarning() | ArtifactCorrupt() | LogCut() | StateCorrupt() | ToolDegraded() | TelemetryWaiting():
            yield click.style(f"  ! {_warning(event)}", fg="yellow")
        case ToolCircuit():
            yield from _circuit(event)
        case RunRetried() | HookFinished() | SettingFailed():
            yield from _operated(event)
        case StepProgress() | RunFinished():
            return  # shown by the live table and by the summary
        case _:
            assert_never(event)


def _circuit(event: ToolCircuit) -> Iterator[str]:
    """Yields a line for a circuit that opens or closes. Probes that fail are no news."""
    name = f"{event.tool} {safe(event.server)}" if event.server else event.tool
    if event.state is State.CLOSED:
        yield f"  ! {name}: circuit closed, it is called again"
    elif event.state is State.OPEN and event.was is State.CLOSED:
        wait = f", next attempt in {event.next_attempt:.1f} s" if event.next_attempt is not None else ""
        yield click.style(f"  ! {name}: circuit open, it is not called{wait}", fg="yellow")


def _operated(event: RunRetried | HookFinished | SettingFailed) -> Iterator[str]:
    """Yields a line for another attempt of the run, and for a hook, the log or the metrics file that failed."""
    match event:
        case RunRetried():
            again = f"attempt {event.attempt} of {event.attempts} in {event.wait:.1f} s"
            yield click.style(f"  ↻ {event.run or 'run'}  {again}: {safe(event.reason)}", fg="yellow")
            return
        case HookFinished(delivered=True):
            return
        case HookFinished():
            text = f"{event.hook} was not notified: {event.problem}"
        case SettingFailed():
            text = f"{event.setting}: {event.problem}"
        case _:
            assert_never(event)
    yield click.style(f"  ! {safe(text)}", fg="yellow")


def _waiting(event: RunWaiting | StepWaiting | StepQueued) -> str:
    """Returns the text of an event about waiting for other runs."""
    match event:
        case RunWaiting():
            place = f"{_ordinal(event.position)} in the queue"
            return f"waiting for {_runs(event)} ({place}); Ctrl-C leaves the queue"
        case StepWaiting():
            process = event.holder.partition(":")[0]
            return f"  … {event.step}  waiting for run {event.by} (process {process}), which is running the same step"
        case StepQueued():
            return f"  … {event.step}  waiting for {_memory(event)}"
        case _:
            assert_never(event)


def _runs(event: RunWaiting) -> str:
    """Returns the runs that execute now; by their processes while some of them have no id yet."""
    if len(event.runs) == len(event.processes):
        return " or ".join(f"run {run}" for run in event.runs) or "the runs before it"
    return " or ".join(f"process {process}" for process in event.processes)


def _memory(event: StepQueued) -> str:
    """Returns the memory that a step needs, and who uses it."""
    runs = ", ".join(f"run {run}" for run in event.runs)
    used = f"{sizes.text(event.used)} of {sizes.text(event.total)} in use" + (f" by {runs}" if runs else "")
    return f"{sizes.text(event.memory)} of memory; {used}"


def _ordinal(number: int) -> str:
    """Returns 1st, 2nd, 3rd, 4th, …, 11th, …, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def elsewhere(waiting: TelemetryWaiting | WaitingElsewhere) -> str:
    """Returns a sentence about entries for a tracker that the settings do not name."""
    address = waiting.tracker.partition(" (")[0]
    profile = f" --profile {waiting.profile}" if waiting.profile else ""
    to = f" --to {safe(address)}" if "://" in address else ""  # the profile may have another address by now
    return f"{counted(waiting.waiting, 'entry')} waiting for {safe(waiting.tracker)}: e2i sync{profile}{to}"


def _warning(event: SpecWarning | ArtifactCorrupt | LogCut | StateCorrupt | ToolDegraded | TelemetryWaiting) -> str:
    """Returns the text of an event about something that did not go well and does not end the run."""
    match event:
        case SpecWarning():
            problem = event.problem
            at = f"{problem.file}:{problem.line}:{problem.column}"
            return f"{safe(at)}: {safe(problem.message)} [{problem.code}]"
        case ArtifactCorrupt():
            return f"corrupt artifact {event.digest[:19]}… moved to {safe(event.kept)}; it will be rebuilt"
        case LogCut():
            return f"{event.step}: log truncated, it exceeds {sizes.text(event.limit)}"
        case StateCorrupt():
            return f"corrupt store state; history starts empty. The corrupt file is kept as {safe(event.kept)}"
        case ToolDegraded():
            waiting = f"{event.waiting} waiting in the outbox" if event.waiting else ""
            refused = _refused(event) if event.refused else ""
            counts = ", ".join(filter(None, (waiting, refused)))
            return ": ".join(filter(None, (event.tool, counts, safe(event.problem or ""))))
        case TelemetryWaiting():
            return f"{event.tool}: {elsewhere(event)}"
        case _:
            assert_never(event)


def _refused(event: ToolDegraded) -> str:
    """Returns how many entries a tracker refused, or how many results another machine cannot find."""
    if event.tool == SHARED_STORE:
        return f"{counted(event.refused, 'result')} not shared with other machines"
    return f"{event.refused} refused"


def _finished(event: StepFinished) -> Iterator[str]:
    sign, colour = SIGNS[event.status]
    took = f"  {event.seconds:.1f} s" if event.attempts else ""
    note = f"  {click.style(safe(event.note), dim=True)}" if event.note else ""
    yield f"  {click.style(sign, fg=colour)} {event.step}  {click.style(event.status, fg=colour)}{took}{note}"
    if event.error is not None:
        yield from _error(event.error)


def _error(error: ErrorDocument) -> Iterator[str]:
    for index, line in enumerate(safe(error.message).splitlines()):
        code = click.style(f" [{error.code}]", dim=True) if index == 0 else ""
        yield f"      {click.style(line, fg='red')}{code}"
    if error.hint:
        yield f"      {safe(error.hint)}"
