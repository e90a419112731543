"""The command that makes a new project."""

from __future__ import annotations

from pathlib import Path

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit


@click.command(cls=flags.Inert)
@click.option("--from", "table", type=click.Path(path_type=Path), metavar="FILE", help="Write a spec for this table.")
@click.option("--target", metavar="COLUMN", help="The column of the table to predict.")
@click.option("--name", metavar="NAME", help="Name of the spec. Default: starter, or the name of the table's file.")
@flags.json
@guarded
def init(table: Path | None, target: str | None, name: str | None, as_json: bool) -> Exit:
    """Make a new project in the current folder."""
    from e2i.cli import init_command

    return init_command.init(Path.cwd(), table, target, name, as_json=as_json)
