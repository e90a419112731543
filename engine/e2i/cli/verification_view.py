"""Show what a verification came to, for people. In: a ``VerificationDocument``. Out: lines on standard output."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import click

from e2i.cli.problems_view import safe
from e2i.reruns.results import VerificationDocument, VerifiedStep

SIGNS = {"equal": ("✓", "green"), "differs": ("✗", "red"), "failed": ("✗", "red")}
MOST = 5


def progress(*, as_json: bool) -> Callable[[str], None]:
    """Returns a function that names the steps that have run, on standard error of a terminal."""
    if as_json or not sys.stderr.isatty():
        return lambda step: None
    return lambda step: click.echo(click.style(f"  ran {safe(step)}", dim=True), err=True)


def show(found: VerificationDocument) -> None:
    """Prints each step, and the first one that differs."""
    click.echo(click.style(f"unlike the run: {', '.join(found.conditions)}", dim=True))
    width = max((len(step.step) for step in found.steps), default=0)
    for step in found.steps:
        _show_step(step, width)
    counts = Counter(step.result for step in found.steps)
    listed = ", ".join(f"{count} {result}" for result, count in counts.items())
    if found.first is None:
        colour = "green" if found.verified else "yellow"
        text = "deterministic" if found.verified else "no step could be compared"
    else:
        text, colour = f"the first step that is not deterministic: {safe(found.first)}", "red"
    seconds = click.style(f"{found.seconds:.1f} s", dim=True)
    click.echo(f"{safe(found.pipeline)} {safe(found.run)}: {click.style(text, fg=colour)} ({listed})  {seconds}")


def _show_step(step: VerifiedStep, width: int) -> None:
    sign, colour = SIGNS.get(step.result, ("-", "yellow"))
    detail = "" if step.result == "equal" else f"  {step.result}: {safe(step.detail)}"
    click.echo(f"  {click.style(sign, fg=colour)} {safe(step.step).ljust(width)}{detail}".rstrip())
    for one in step.differences[1:MOST]:
        click.echo(f"      {safe(one.where)}: {safe(one.detail)}")
