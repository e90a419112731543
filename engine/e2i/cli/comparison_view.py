"""Show the differences of two runs for people.

In: the comparison. Out: lines about inputs, steps, figures and other results, side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from e2i.cli import diff_view
from e2i.cli.problems_view import safe
from e2i.cli.runs_view import COLOURS, moment, sign_of, took
from e2i.cli.summary_view import brief
from e2i.planning.diff import Weight
from e2i.records.differences import ComparedStep, Figure, Pair, RunDiff, StepPair

MOST = 30
"""Maximum number of lines shown in a section."""


def show(found: RunDiff, now_ms: int) -> None:
    """Prints the differences. A section without differences is printed as such."""
    for name, run in zip("AB", found.runs, strict=True):
        status = click.style(run.status, fg=COLOURS.get(run.status))
        head = f"{click.style(name, bold=True)}  {run.id}  {safe(run.pipeline)}  {status}"
        click.echo(f"{head}  {took(run, now_ms)}  {moment(run.started_ms)}")
    _section("inputs", list(_inputs(found)), "the same: spec, parameters, files, versions, seed")
    _section("steps", list(_steps(found)), "the same: every step had the same inputs and the same status")
    _section("figures", list(_figures(found.figures)), "no step returned a number")
    _section("other results", list(_results(found)), "no differences")


def _section(title: str, lines: Sequence[str], nothing: str) -> None:
    click.echo(f"\n{click.style(title, bold=True)}")
    for line in lines[:MOST]:
        click.echo(f"  {line}")
    if len(lines) > MOST:
        click.echo(f"  … and {len(lines) - MOST} more (--json lists them)")
    if not lines:
        click.echo(f"  {click.style(nothing, dim=True)}")


def _inputs(found: RunDiff) -> Iterator[str]:
    if found.spec is None:
        described = "the same text" if found.same_text else "another text"
        yield f"spec: {described}; one of the specs is not valid here, so their meaning cannot be compared"
    elif not found.same_text:  # with the same text, only parameters make steps differ
        for difference in found.spec.differences:
            sign, colour, _ = diff_view.SIGNS[Weight[difference.weight.upper()]]
            what = click.style(difference.what, bold=True)
            yield f"{click.style(sign, fg=colour, bold=True)} {what}: {safe(difference.detail)}"
    for kind, pairs in (
        ("parameter", found.params),
        ("file", found.files),
        ("version of", found.versions),
        ("", found.environment),
    ):
        yield from (_pair(f"{kind} {pair.name}".strip(), pair) for pair in pairs)


def _pair(name: str, pair: Pair) -> str:
    what = click.style(safe(name), bold=True)
    return f"{click.style('~', fg='yellow')} {what}: {_shown(pair.before)} → {_shown(pair.after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[7:19]
    return safe(brief(value, 60))


def _steps(found: RunDiff) -> Iterator[str]:
    """Yields a line for each step with another result, another status, or a duration worth comparing."""
    shown = [pair for pair in found.steps if pair.differs or pair.reason or _seconds(pair) >= 1]
    width = max((len(pair.id) for pair in shown), default=0)
    for pair in shown:
        sides = [_side(step) for step in (pair.before, pair.after)]
        reason = f"  {pair.reason.code}: {safe(pair.reason.detail)}" if pair.reason else ""
        name = click.style(safe(pair.id).ljust(width), bold=True)
        yield f"{name}  {sides[0]} → {sides[1]}{click.style(reason, dim=True)}"


def _seconds(pair: StepPair) -> float:
    return max((step.seconds or 0.0 for step in (pair.before, pair.after) if step), default=0.0)


def _side(step: ComparedStep | None) -> str:
    if step is None:
        return click.style("(none)", dim=True)
    sign, colour = sign_of(step.status)
    seconds = f" {step.seconds:.1f} s" if step.seconds is not None else ""
    return click.style(f"{sign} {step.status}", fg=colour) + seconds


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    """Yields a table of figures. When some figures differ, equal ones are only counted."""
    other = [figure for figure in figures if figure.before != figure.after]
    equal = len(figures) - len(other)
    if other:
        width = max(len(figure.name) for figure in other)
        yield click.style(f"{'':<{width}}  {'A':>11}  {'B':>11}  {'B - A':>11}", dim=True)
        for figure in other:
            values = (f"{_number(value):>11}" for value in (figure.before, figure.after))
            change = "" if figure.change is None else f"{figure.change:>+11.4g}"
            share = "" if figure.relative is None else f"  {figure.relative:+.1%}"
            yield f"{safe(figure.name):<{width}}  {'  '.join(values)}  {change}{share}{_judged(figure)}".rstrip()
    if equal:
        yield click.style(f"{equal} {'others ' if other else ''}are equal", dim=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _judged(figure: Figure) -> str:
    if figure.better is None:
        return ""
    return click.style("  better", fg="green") if figure.better else click.style("  worse", fg="red")


def _results(found: RunDiff) -> Iterator[str]:
    yield from (_pair(f"output {pair.name}", pair) for pair in found.outputs)
    yield from (_pair(pair.name, pair) for pair in found.artifacts)
