"""Show why a metric changed, for people. In: an ``ExplanationDocument``. Out: a table with bars on standard output."""

from __future__ import annotations

import click

from e2i.cli.problems_view import safe
from e2i.reruns.explaining import Budget
from e2i.reruns.explanation import ExplanationDocument

BAR = 40
"""Characters of the longest bar."""
MOST = 4
"""Changes that are listed of a factor."""


def say(budget: Budget) -> None:
    """Prints what the explanation may take, on standard error, before it begins."""
    if not budget.factors:
        click.echo("data, code, parameters and seed are equal", err=True)
        return
    what = f"{len(budget.factors)} factors changed: {', '.join(budget.factors)}"
    if len(budget.factors) == 1:
        what = f"only {budget.factors[0]} changed"
    runs = f"up to {budget.reruns} re-runs of {budget.steps} steps" if budget.reruns else "no re-run is needed"
    took = f", which took {budget.seconds:.1f} s in the second run" if budget.reruns else ""
    click.echo(click.style(f"{what}; {runs}{took}", dim=True), err=True)


def show(found: ExplanationDocument) -> None:
    """Prints the change and the share of each factor."""
    before, after = (f"{value:.6g}" for value in (found.before, found.after))
    click.echo(f"{click.style(safe(found.metric), bold=True)}: {before} → {after} ({found.change:+.6g})")
    longest = max((abs(one.share) for one in found.factors), default=0.0)
    for one in found.factors:
        bar = "█" * round(BAR * abs(one.share) / longest) if longest else ""
        part = f"{100 * one.part:.1f} %" if one.part is not None else ""
        colour = "green" if one.share >= 0 else "red"
        click.echo(f"  {one.factor:<11} {one.share:>+12.6g} {part:>9}  {click.style(bar, fg=colour)}".rstrip())
        for change in one.changes[:MOST]:
            click.echo(click.style(f"      {safe(change)}", dim=True))
        if len(one.changes) > MOST:
            click.echo(click.style(f"      … and {len(one.changes) - MOST} more", dim=True))
    if found.factors:
        click.echo(f"  {'sum':<11} {found.change:>+12.6g}")
    seconds = click.style(f"{found.seconds:.1f} s", dim=True)
    click.echo(f"{found.reruns} re-runs, {found.executed} steps executed  {seconds}")
