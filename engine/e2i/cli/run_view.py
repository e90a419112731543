"""Show a run for people, finished or running.

In: a past run. Out: printed lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from e2i.cli.problems_view import safe
from e2i.cli.runs_view import COLOURS, counts, moment, sign_of, took
from e2i.cli.summary_view import brief
from e2i.cli.wording import counted
from e2i.records import lineage
from e2i.records.lookup import StepDocument
from e2i.records.past import PastRun
from e2i.store.past import RecordedRun, RecordedStep, RunOrigin
from e2i.workers import steplog

LOG_LINES = 20
"""Number of lines of a step's log that are shown."""
EVERY = 0.5
"""Seconds between two reads of a run that is watched."""
MOST = 200
"""Maximum number of steps of one status that are shown. Failed steps are always shown."""


def show(run: RecordedRun, store: Path, now_ms: int) -> None:
    """Prints the run: parameters, origin, steps, and the paths of logs and report."""
    for line in _head(run, now_ms):
        click.echo(line)
    click.echo()
    shown: dict[str, int] = {}
    for step in run.steps:
        shown[step.status] = shown.get(step.status, 0) + 1
        if shown[step.status] <= MOST or step.error:
            for line in _step(step, now_ms):
                click.echo(line)
    for status, count in shown.items():
        if count > MOST:
            click.echo(f"  … and {count - MOST} more {status} (--json lists them)")
    click.echo()
    logs = store / "runs" / run.id / "logs"
    if logs.is_dir():
        click.echo(f"logs    {safe(str(logs))}")
    click.echo(f"step    e2i show {run.id} --step ID")
    click.echo(f"report  e2i report {run.id}")


def show_step(run: RecordedRun, step: StepDocument, store: Path, now_ms: int) -> None:
    """Prints one step: its inputs, outputs, attempts and the end of its log."""
    click.echo(f"step of run {run.id} of {run.pipeline}")
    for line in _step(step, now_ms, outputs=False):
        click.echo(line)
    reason = f"{step.reason.code}: {step.reason.detail}".rstrip(": ")
    click.echo(f"\nplanned as {step.verdict}: {safe(reason)}")
    if step.made_in not in (None, run.id):
        click.echo(f"executed in run {step.made_in}")
    names = {read.digest: f"{read.step}.{read.output}" for read in step.reads if read.digest}
    parameters = lineage.addressed(step.parameters or {}, names)
    sections: dict[str, Mapping[str, str | None]] = {
        "parameters": {name: brief(value, 140) for name, value in parameters.items()},
        "read": {
            **{f"file {file.path}": file.digest or "missing" for file in step.files},
            **{f"{read.step}.{read.output}": f"{read.type} {read.digest or ''}" for read in step.reads},
        },
        "outputs": {name: brief(value, 140) for name, value in (step.outputs or {}).items()},
        "versions": step.libraries,
    }
    for title, values in sections.items():
        if values:
            click.echo(f"\n{title}")
            for name, value in values.items():
                click.echo(f"  {click.style(safe(name), bold=True)}: {safe(str(value))}")
    log = steplog.path_of(store, run.id, step.id)
    if lines := tail(log):
        click.echo(f"\nlog, last {counted(len(lines), 'line')} ({safe(str(log))})")
        for line in lines:
            click.echo(f"  {safe(line)}")


def watch(
    read: Callable[[], PastRun], clock: Callable[[], int], sleep: Callable[[float], None] = time.sleep
) -> PastRun:
    """Polls the run until it ends, on a terminal with a live view. Returns its final state."""
    past = read()
    if not sys.stderr.isatty():
        while past.run.status == "running":
            sleep(EVERY)
            past = read()
        return past
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True, highlight=False), transient=True) as live:
        while past.run.status == "running":
            live.update(Group(*map(Text.from_ansi, _now(past.run, clock()))))
            sleep(EVERY)
            past = read()
    return past


def tail(log: Path, lines: int = LOG_LINES, most: int = 64 * 1024) -> list[str]:
    """Returns the last lines of a file, read from its end; none when there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - most))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


def _now(run: RecordedRun, now_ms: int) -> Iterator[str]:
    """Yields the lines of a running run that fit on a screen."""
    yield from _head(run, now_ms)
    for status in ("failed", "running"):
        for step in [step for step in run.steps if step.status == status][:10]:
            yield from _step(step, now_ms, outputs=False)


def _head(run: RecordedRun, now_ms: int) -> Iterator[str]:
    status = click.style(run.status, fg=COLOURS.get(run.status), bold=True)
    name = click.style(safe(run.id), bold=True)
    yield f"run {name} of {safe(run.pipeline)} ({safe(run.file)}): {status} {took(run, now_ms)}".rstrip()
    profile = "" if run.profile == "default" else f", profile {run.profile}"
    resumed = f", resumed {moment(run.resumed_ms)}" if run.resumed_ms else ""
    yield f"started {moment(run.started_ms)}{resumed}{profile}"
    if run.params:
        yield "params: " + safe(", ".join(f"{name}={value}" for name, value in run.params.items()))
    if origin := origin_of(run.provenance):
        yield click.style("from: " + safe(origin), dim=True)
    statuses: dict[str, int] = {}
    for step in run.steps:
        statuses[step.status] = statuses.get(step.status, 0) + 1
    yield f"steps: {counts(statuses)}"


def origin_of(origin: RunOrigin) -> str:
    """Returns commit, versions and host on one line."""
    found = []
    git = origin.repository
    if git.commit:
        branch = f" of {git.branch}" if git.branch else ""
        unsure = " that may differ (a filter was not run)" if git.dirty is None else ""
        changed = f" with {git.changed_files} {'files' if unsure else 'changed files'}{unsure}"
        found.append(f"commit {git.commit[:12]}{branch}{changed if git.changed_files else ''}")
    named = (("e2i", origin.e2i), ("python", origin.python), ("host", origin.host))
    return ", ".join(found + [f"{name} {value}" for name, value in named if value])


def _step(step: RecordedStep, now_ms: int, *, outputs: bool = True) -> Iterator[str]:
    sign, colour = sign_of(step.status)
    status = click.style(step.status, fg=colour)
    line = f"{status} {took(step, now_ms)}".rstrip()
    if step.status == "pending" and step.needs:
        line += click.style(f" after {', '.join(step.needs[:5])}{' …' if len(step.needs) > 5 else ''}", dim=True)
    if step.note:
        line += click.style(f"  {safe(step.note)}", dim=True)
    yield f"  {click.style(sign, fg=colour)} {click.style(safe(step.id), bold=True)}  {step.uses}  {line}"
    if outputs:
        for name, value in (step.outputs or {}).items():
            yield f"      {name}: {safe(brief(value, 140))}"
    if len(step.tries) > 1:
        for number, attempt in enumerate(step.tries, start=1):
            error = attempt.error
            came = f"{safe(error.message.splitlines()[0])} [{error.code}]" if error else "done"
            at = moment(attempt.started_ms)[11:]
            yield f"      attempt {number} at {at}, {attempt.seconds:.1f} s: {came}"
    if step.error:
        error = step.error
        first, *rest = safe(error.message).splitlines() or [""]
        yield f"      {click.style(first, fg='red')} {click.style('[' + error.code + ']', dim=True)}"
        yield from (f"      {click.style(line, fg='red')}" for line in rest)
        if error.hint:
            yield f"      {safe(error.hint)}"
