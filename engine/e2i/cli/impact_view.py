"""Show what a change breaks, for people. In: an ``ImpactDocument``. Out: lines on standard output."""

from __future__ import annotations

import click

from e2i.cli.problems_view import safe
from e2i.impact.results import ColumnChange, ImpactDocument, SpecImpact, StepImpact

SIGNS = {"breaks": ("✗", "red"), "retyped": ("~", "yellow"), "blocked": ("·", "yellow")}


def show(found: ImpactDocument) -> None:
    """Prints the affected specs, and a summary."""
    for spec in found.specs:
        _show_spec(spec)
    cases = sum(case.effect == "breaks" for spec in found.specs for case in spec.cases)
    steps = found.breaks - cases
    text = f"{_count(steps, 'step')} and {_count(cases, 'test case')} break" if found.breaks else "nothing breaks"
    colour = "red" if found.breaks else "green"
    compared = f"{_count(found.compared, 'spec')} compared"
    click.echo(f"{safe(found.base)}..{safe(found.head)}: {click.style(text, fg=colour)}, {compared}")


def _show_spec(spec: SpecImpact) -> None:
    click.echo(click.style(safe(spec.spec), bold=True))
    for column in spec.columns:
        click.echo(f"  {safe(_described(column))}")
    for step in spec.steps:
        click.echo(f"  {_sign(step.effect)} {_located(step)}")
    for case in spec.cases:
        click.echo(f"  {_sign(case.effect)} {safe(case.file)}::{safe(case.case)}: {safe(case.detail)}")


def _described(change: ColumnChange) -> str:
    what = (
        "is new"
        if change.before is None
        else "is gone"
        if change.after is None
        else f"was {change.before} and is {change.after}"
    )
    return f"column {change.column} of {change.step}.{change.output} {what}"


def _located(step: StepImpact) -> str:
    name = click.style(safe(step.step), bold=True)
    if step.problem is None:
        return f"{name}: {safe(step.detail)}"
    problem = step.problem
    return f"{name}: {safe(problem.file)}:{problem.line}:{problem.column}: {safe(problem.message)} [{problem.code}]"


def _sign(effect: str) -> str:
    sign, colour = SIGNS[effect]
    return click.style(sign, fg=colour)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
