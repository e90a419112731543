"""Show a plan for people: legend, a block for each step, totals, and the store that it was compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from e2i.api import Workspace
from e2i.cli import destinations, documents
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.execution import budget
from e2i.planning.estimates.model import PlanEstimate, Range
from e2i.planning.model import Plan, PlanStep, Verdict
from e2i.report import causal_graph
from e2i.spec import sizes

SIGNS: dict[Verdict, tuple[str, str, str]] = {
    Verdict.RUN: ("+", "green", "will run"),
    Verdict.ALWAYS: ("!", "cyan", "runs every time"),
    Verdict.UNDECIDED: ("?", "yellow", "run, reuse or skip: decided once an upstream step has run"),
    Verdict.REUSE: ("=", "blue", "the finished result is reused"),
    Verdict.SKIP: ("-", "bright_black", "will not run"),
}


SUFFIXES = {".json": "json", ".md": "markdown", ".mmd": "mermaid", ".dot": "dot", ".svg": "svg", ".html": "html"}
"""Output formats by file suffix."""


def show_as(form: str, plan: Plan, workspace: Workspace) -> None:
    """Prints the plan on standard output in the given format."""
    match form:
        case "json":
            documents.show(plan.document)
        case "text":
            show(plan, workspace)
        case _:
            click.echo(rendered(form, plan))


def form_of_file(path: Path, form: str) -> str:
    """Returns the format of a plan file: by its suffix, else by ``--format``, else JSON."""
    return SUFFIXES.get(path.suffix.lower()) or ("json" if form == "text" else form)


def rendered(form: str, plan: Plan) -> str:
    """Returns the plan as a document for people or for other programs."""
    match form:
        case "markdown":
            from e2i.planning.markdown import markdown

            return markdown(plan)
        case "mermaid" | "dot":
            from e2i.planning import diagram

            return diagram.mermaid(plan) if form == "mermaid" else diagram.dot(plan)
        case _:
            from e2i.report import plan_page

            return plan_page.svg(plan) if form == "svg" else plan_page.html(plan)


def show(plan: Plan, workspace: Workspace) -> None:
    """Prints the plan on standard output."""
    used = [verdict for verdict in SIGNS if plan.summary[verdict]]
    click.echo(f"Plan of {click.style(plan.name, bold=True)}, {counted(len(plan.steps), 'step')}\n")
    for verdict in used:
        sign, colour, meaning = SIGNS[verdict]
        click.echo(f"  {click.style(sign, fg=colour, bold=True)} {verdict.value}: {meaning}")
    click.echo()
    width = max(len(step.id) for step in plan.steps)
    for step in plan.steps:
        click.echo(_block(step, width))
    for drawn in causal_graph.of(plan):
        click.echo(f"\n  {click.style('causal graph', fg='cyan')} of {safe(drawn.step)}")
        for line in drawn.lines:
            click.echo(f"    {safe(line)}")
    if plan.params:
        shown = ", ".join(f"{name}={value}" for name, value in plan.params.items())
        click.echo(f"\n  params: {safe(shown)}")
    for item in plan.undecided:
        click.echo(f"\n  {click.style('undecided', fg='yellow')}: {safe(str(item))}")
    for hint in plan.hints:
        click.echo(f"\n  {click.style('hint', fg='yellow')}: {safe(hint)}")
    if plan.estimate is not None:
        _show_estimate(plan.estimate)
    counts = ", ".join(f"{plan.summary[verdict]} {verdict.value}" for verdict in used)
    click.echo(f"\nTotal: {click.style(counts, bold=True)}")
    click.echo(click.style(safe(f"compared with the store {workspace.store}"), dim=True))
    click.echo(click.style(safe(destinations.line(workspace)), dim=True))
    click.echo(click.style(f"digest {plan.digest}", dim=True))


def _show_estimate(found: PlanEstimate) -> None:
    """Prints what each step takes, and all together: the median, and the interval in which nine of ten outcomes lie."""
    click.echo(f"\n  {click.style('estimate', bold=True)} from past runs: median (90 % interval)")
    width = max(len(step.id) for step in found.steps)
    for step in found.steps:
        amounts = [_range(step.seconds, budget.seconds), _range(step.memory, sizes.text)]
        shown = ", ".join(filter(None, amounts))
        note = click.style(f"{'  ' if shown else ''}{step.note}", dim=True) if step.note else ""
        click.echo(f"    {step.id.ljust(width)}  {shown}{note}")
    if found.seconds is not None:
        amounts = [_range(found.seconds, budget.seconds), _range(found.memory, sizes.text)]
        amounts += [f"cost {_range(found.cost, budget.cost)}"] if found.cost else []
        whole = ", ".join(filter(None, amounts))
        lacks = f"; without {', '.join(found.unknown)}" if found.unknown else ""
        click.echo(f"    {click.style('all'.ljust(width), bold=True)}  {whole}{lacks}")


def _range(found: Range | None, text: Callable[[float], str]) -> str:
    """Returns an estimate as text."""
    return "" if found is None else f"{text(found.median)} ({text(found.low)} to {text(found.high)})"


def _block(step: PlanStep, width: int) -> str:
    sign, colour, _ = SIGNS[step.verdict]
    head = f"  {click.style(sign, fg=colour, bold=True)} {click.style(step.id.ljust(width), bold=True)}  {step.uses}"
    lines = [head, f"    {' ' * width}  {click.style(step.reason.code.value, fg=colour)}: {safe(step.reason.detail)}"]
    if step.needs:
        lines.append(click.style(f"    {' ' * width}  after {', '.join(step.needs)}", dim=True))
    return "\n".join(lines)
