"""Explain problem codes.

In: a code. Out: its meaning, as a document or as text for people.
"""

from __future__ import annotations

from typing import Annotated

import click
from msgspec import Meta
from msgspec.structs import asdict

from e2i.check import codes
from e2i.documents import Element, JsonDocument
from e2i.errors import BadInput
from e2i.spec import suggest
from e2i.spec.problems import Code


class ExplainedCode(Element, frozen=True, kw_only=True):
    """A code with its meaning."""

    code: str
    group: Annotated[str, Meta(description="The stage at which it arises.")]
    title: str
    why: Annotated[str, Meta(description="What it means.")]
    fix: Annotated[str, Meta(description="What to do.")]
    bad: Annotated[str, Meta(description="A spec with the problem, without `version` and `name`; or empty.")]
    good: Annotated[str, Meta(description="The same spec without it.")]
    example: Annotated[str, Meta(description="How it arises, where no spec can show it.")]


class ExplainDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i explain [CODE] --json`."""

    codes: list[ExplainedCode]


def document(code: str | None) -> ExplainDocument:
    """Returns one code, or all of them."""
    chosen = [_chosen(code)] if code else [found for _, found in sorted(codes.CODES.items())]
    return ExplainDocument(codes=[_explained(found) for found in chosen])


def groups() -> list[str]:
    """Returns the names of the groups of codes, in the order in which a spec is processed."""
    return list(codes.GROUPS)


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


def _explained(found: Code) -> ExplainedCode:
    return ExplainedCode(group=next(title for title, group in codes.GROUPS.items() if found in group), **asdict(found))


def _show(found: Code) -> None:
    click.echo(f"{click.style(found.code, bold=True)}: {found.title}\n\n{found.why}\n")
    if found.example:
        click.echo(f"{click.style('For example:', bold=True)} {found.example}\n")
    click.echo(f"{click.style('What to do:', bold=True)} {found.fix}")
    for title, example, colour in (("Wrong", found.bad, "red"), ("Right", found.good, "green")):
        if example:
            click.echo(f"\n{click.style(title, fg=colour)}")
            click.echo("\n".join(f"    {line}" for line in example.splitlines()))
