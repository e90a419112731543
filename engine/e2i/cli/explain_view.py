"""Explain problem codes.

In: a code. Out: its meaning, as a document or as text for people.
"""

from __future__ import annotations

from typing import Any

import click

from e2i.check import codes
from e2i.errors import BadInput
from e2i.spec import suggest
from e2i.spec.problems import Code

SCHEMA_VERSION = 1


def document(code: str | None) -> dict[str, Any]:
    """Returns one code, or all of them, as JSON."""
    chosen = [_chosen(code)] if code else [found for _, found in sorted(codes.CODES.items())]
    return {"schema_version": SCHEMA_VERSION, "codes": [_document(found) for found in chosen]}


def show(code: str | None) -> None:
    """Prints one code, or the list of all, for people."""
    if code:
        _show(_chosen(code))
        return
    width = max(map(len, codes.CODES))
    for title, group in codes.GROUPS.items():
        click.echo(click.style(title, underline=True))
        for found in sorted(group, key=lambda found: found.code):
            click.echo(f"  {click.style(found.code.ljust(width), bold=True)}  {found.title}")
        click.echo()
    click.echo(f"{click.style('e2i explain CODE', bold=True)} shows details and an example.")


def _chosen(code: str) -> Code:
    found = codes.find(code.strip("[]"))
    if found is None:
        hint = suggest.hint(code, codes.CODES) or "`e2i explain` lists them"
        raise BadInput(f"unknown code {code!r}", code="unknown-code", hint=hint)
    return found


def _document(found: Code) -> dict[str, Any]:
    group = next(title for title, group in codes.GROUPS.items() if found in group)
    return {"code": found.code, "group": group, "title": found.title, "why": found.why, "fix": found.fix,
            "bad": found.bad, "good": found.good, "example": found.example}  # fmt: skip


def _show(found: Code) -> None:
    click.echo(f"{click.style(found.code, bold=True)}: {found.title}\n\n{found.why}\n")
    if found.example:
        click.echo(f"{click.style('For example:', bold=True)} {found.example}\n")
    click.echo(f"{click.style('What to do:', bold=True)} {found.fix}")
    for title, example, colour in (("Wrong", found.bad, "red"), ("Right", found.good, "green")):
        if example:
            click.echo(f"\n{click.style(title, fg=colour)}")
            click.echo("\n".join(f"    {line}" for line in example.splitlines()))
