"""Complete arguments in the shell: file names of specs, actions, problem codes.

In: the beginning of an argument. Out: what it may become. Nothing here is imported before the shell asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from e2i.cli import environment

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete the name of a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def actions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Returns the actions of the catalog, as tool.action."""
    from e2i.errors import E2IError

    try:
        names = environment.registry(ctx.params.get("profile")).names()
    except E2IError:  # the command itself reports it
        return []
    return [name for name in names if name.startswith(incomplete)]


def codes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Returns the codes that ``e2i explain`` knows."""
    from e2i.check.codes import CODES

    return sorted(code for code in CODES if code.startswith(incomplete))
