"""Show what mutants came to for people, on standard output; progress on standard error.

In: judgements. Out: a table of the survivors, and the scores.
"""

from __future__ import annotations

import sys
import threading

import click

from e2i.cli.problems_view import safe
from e2i.spec.writing import written
from e2i.testing.mutation.choosing import Mutant
from e2i.testing.mutation.judging import Judgement
from e2i.testing.mutation.results import JudgedMutant, MutationDocument

LONGEST = 60


class Progress:
    """Counts mutants on a terminal."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._done = self._survived = 0
        self._shown = sys.stderr.isatty()

    def __call__(self, mutant: Mutant, judgement: Judgement) -> None:
        with self._lock:
            self._done += 1
            self._survived += judgement.killed_by is None
            if self._shown:
                line = f"\r{self._done} of up to {self._most} mutants, {self._survived} survived"
                click.echo(line, nl=False, err=True)

    def close(self) -> None:
        if self._shown and self._done:
            click.echo("", err=True)


def show(found: MutationDocument) -> None:
    """Prints the survivors and the scores."""
    for case in found.broken:
        sign = click.style("fails without a mutant", fg="red")
        click.echo(f"{sign}: {safe(case.file)}::{safe(case.case)}: {safe(case.message)}")
    survivors = [one for one in found.mutants if one.killed_by is None]
    spec = ""
    for one in survivors:
        if one.spec != spec:
            spec = one.spec
            click.echo(click.style(f"survivors of {safe(spec)}", bold=True))
        _show_survivor(one)
    width = max((len(one.spec) for one in found.specs), default=0)
    for score in found.specs:
        click.echo(f"{safe(score.spec).ljust(width)}  {_share(score.killed, score.total)}")
    total = f"{found.killed} of {found.total} mutants killed" if found.total else "no mutant is valid"
    colour = "green" if found.killed == found.total else "yellow"
    share = f" ({100 * found.killed / found.total:.1f} %)" if found.total else ""
    if found.few:
        click.echo(f"{found.total} mutants instead of {found.asked}: {found.few}")
    click.echo(f"{click.style(total + share, fg=colour)}  {click.style(f'{found.seconds:.1f} s', dim=True)}")


def _show_survivor(one: JudgedMutant) -> None:
    place = click.style(f"{safe(one.spec)}:{one.line}:{one.column}", bold=True)
    after = "left out" if one.dropped else _short(one.after)
    click.echo(f"  {place}: {safe(one.name)}: {_short(one.before)} → {after}  {click.style(one.kind, dim=True)}")
    click.echo(f"      {safe(one.advice)}")


def _short(value: object) -> str:
    text = written(value)
    return safe(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _share(killed: int, total: int) -> str:
    return f"{killed} of {total} killed ({100 * killed // total} %)"
