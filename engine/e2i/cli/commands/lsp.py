"""The command that serves editors."""

from __future__ import annotations

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit, ToolUnavailable


@click.command(cls=flags.Inert)
@flags.profile
@flags.origin
@guarded
def lsp(profile: str | None, origin: str | None) -> Exit:
    """Serve editors by LSP, on standard input and output.

    Checks specs while they are written, and completes, explains and fixes them. Runs nothing and writes nothing.
    """
    try:
        from e2i.lsp import server
    except ImportError as error:
        message = f"the language server is not installed: {error}"
        raise ToolUnavailable("lsp", message, code="tool-missing", hint='pip install "e2i[lsp]"') from error
    from e2i.lsp.place import Place

    server.stdio(Place(profile, origin))
    return Exit.DONE
