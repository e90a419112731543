"""Command lines that the program prints, read as the program reads them."""

from __future__ import annotations

import click

from e2i.cli.main import e2i


def parse(*arguments: str) -> None:
    """Reads the arguments of ``e2i`` without executing anything. Raises what click raises for wrong ones."""
    command: click.Command = e2i
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, list(arguments))
        assert found is not None
        command, arguments = found, tuple(rest)
        context = click.Context(found, info_name=name, parent=context)
    command.make_context(None, list(arguments))
