"""Show the runs of a store as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from e2i.cli.problems_view import safe
from e2i.cli.progress import SIGNS
from e2i.report.values import duration
from e2i.store.past import ListedRun, RecordedStep, RunHead

COLOURS = {"succeeded": "green", "failed": "red", "interrupted": "yellow", "running": "cyan"}
OPEN_SIGNS = {"running": ("▸", "cyan"), "pending": ("·", "bright_black"), "interrupted": ("×", "yellow")}


def show(found: Sequence[ListedRun], now_ms: int) -> None:
    """Prints a line for each run, with the number of its steps in each status."""
    if not found:
        click.echo("no runs")
        return
    width = max(len(run.pipeline) for run in found)
    longest = max(len(run.id) for run in found)
    for run in found:
        status = click.style(f"{run.status:<11}", fg=COLOURS.get(run.status))
        click.echo(
            f"{safe(run.id):<{longest}}  {status}  {moment(run.started_ms)}  {took(run, now_ms):>9}  "
            f"{safe(run.pipeline):<{width}}  {counts(run.steps)}{_codes(run)}".rstrip()
        )


def _codes(run: ListedRun) -> str:
    """Returns the errors of the run, each code with its first step."""
    steps = {error.code: error.step for error in reversed(run.errors)}
    return "".join(f"  {safe(step)} {click.style(f'[{code}]', dim=True)}" for code, step in reversed(steps.items()))


def counts(statuses: Mapping[str, int]) -> str:
    """Returns the counts as ``12 ✓ 3 = 1 ✗``."""
    shown = []
    for status, count in statuses.items():
        sign, colour = sign_of(status)
        shown.append(f"{count} {click.style(sign, fg=colour)}")
    return "  ".join(shown)


def sign_of(status: str) -> tuple[str, str]:
    """Returns the sign and the colour of a step's status."""
    return {**OPEN_SIGNS, **SIGNS}.get(status, ("?", "yellow"))


def took(item: RunHead | RecordedStep, now_ms: int) -> str:
    """Returns the duration of a run or a step, until now when it is running, without the pauses of a run. Empty when it
    never started.
    """
    if item.started_ms is None or (item.ended_ms is None and item.status != "running"):
        return ""
    ended = now_ms if item.ended_ms is None else item.ended_ms
    paused = item.paused_ms if isinstance(item, RunHead) else 0
    seconds = max(0, ended - item.started_ms - paused) / 1000
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def moment(milliseconds: int) -> str:
    """Returns date and time in the time zone of this machine."""
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M:%S}"
