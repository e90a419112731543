"""Show the results of test cases for people, on standard output.

In: results. Out: a line for each case, the expectations that are not met, and a summary.
"""

from __future__ import annotations

import click

from e2i.cli.problems_view import safe
from e2i.testing.files import LoadedFile
from e2i.testing.recording import RecordedCase
from e2i.testing.results import CaseResult, SpecCoverage, SuiteDocument

MOST_MISSING = 20


class Progress:
    """Prints each result when it is there, below the name of its file."""

    def __init__(self) -> None:
        self._file = ""

    def __call__(self, file: LoadedFile, result: CaseResult) -> None:
        if file.name != self._file:
            self._file = file.name
            click.echo(click.style(safe(file.name), bold=True))
        sign, colour = ("✓", "green") if result.status == "passed" else ("✗", "red")
        seconds = click.style(f"{result.seconds:.1f} s", dim=True)
        click.echo(f"  {click.style(sign, fg=colour)} {safe(result.name)}  {seconds}")
        for failure in result.failures:
            place = click.style(f"{safe(failure.file)}:{failure.line}:{failure.column}", bold=True)
            click.echo(f"    {place}: {safe(failure.message)}")
            for line in failure.lines:
                click.echo(f"      {_coloured(safe(line))}")


def show_summary(found: SuiteDocument) -> None:
    """Prints what all cases came to."""
    for name in found.updated:
        click.echo(f"{click.style('written', fg='yellow')}: {safe(name)}")
    for one in found.coverage or ():
        _show_coverage(one)
    failed = click.style(f"{found.failed} failed", fg="red", bold=True) + ", " if found.failed else ""
    passed = click.style(f"{found.passed} passed", fg="green")
    click.echo(f"{failed}{passed}  {click.style(f'{found.seconds:.1f} s', dim=True)}")


def show_recorded(found: RecordedCase) -> None:
    """Prints where the case of a past step is."""
    for name in found.fixtures:
        click.echo(f"{click.style('written', fg='yellow')}: {safe(name)}")
    if found.added:
        click.echo(
            f"{click.style('added', fg='green')}: {safe(found.case)!r} in {safe(found.file)}; write what must hold"
        )
    else:
        click.echo(f"add this case to {safe(found.file)}:\n{safe(found.text)}")


def _show_coverage(one: SpecCoverage) -> None:
    share = 100 * one.covered // one.total if one.total else 100
    click.echo(f"coverage of {safe(one.spec)}: {share} % ({one.covered} of {one.total})")
    for name in one.missing[:MOST_MISSING]:
        click.echo(f"  {click.style('not exercised', fg='yellow')}: {safe(name)}")
    if len(one.missing) > MOST_MISSING:
        click.echo(f"  … and {len(one.missing) - MOST_MISSING} more (--json lists them)")


def _coloured(line: str) -> str:
    """Returns a line of a difference in the colour of what it says."""
    colour = {"-": "red", "+": "green"}.get(line[:1])
    return click.style(line, fg=colour) if colour and line[1:2] == " " else line
