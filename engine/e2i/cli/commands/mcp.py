"""The command that serves agents."""

from __future__ import annotations

import os
from pathlib import Path

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import BadInput, Exit, ToolUnavailable


@click.command(cls=flags.Inert)
@click.option("--http", metavar="HOST:PORT", help="Serve HTTP on this address of this machine, at /mcp.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the token that HTTP clients must send; only its owner may read it.",
)
@click.option("--read-only", is_flag=True, help="Leave out the tools that run something; write nothing.")
@flags.profile
@flags.store
@guarded
def mcp(http: str | None, token_file: Path | None, read_only: bool, profile: str | None, store: Path | None) -> Exit:
    """Serve agents by MCP, on standard input and output.

    Specs have the origin agent. No tool can approve a plan, change settings or read secrets.
    """
    os.umask(0o077)  # as for a run
    if (http is None) != (token_file is None):
        raise BadInput("--http and --token-file go together", code="bad-option", hint="pass both, or neither")
    try:
        from e2i.mcp import http as by_http
        from e2i.mcp import server
    except ImportError as error:
        message = f"the MCP server is not installed: {error}"
        raise ToolUnavailable("mcp", message, code="tool-missing", hint='pip install "e2i[mcp]"') from error
    from e2i.mcp.place import Place

    place = Place(Path.cwd(), store and store.resolve(), profile)
    place.workspace()  # invalid settings are an error now
    if http is not None and token_file is not None:
        host, port = by_http.address(http)
        by_http.serve(place, host, port, by_http.token(token_file), read_only=read_only)
    else:
        server.stdio(place, read_only=read_only)
    return Exit.DONE
