"""The commands ``e2i`` and ``e2i-run``: the program's arguments go in; the command that they name is carried out."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from e2i import __version__
from e2i.cli import process

COMMANDS = {
    "init": "project",
    **dict.fromkeys(("validate", "fix", "plan", "diff"), "specs"),
    **dict.fromkeys(("explain", "catalog", "schema"), "language"),
    **dict.fromkeys(("run", "runs", "show", "provenance", "report"), "runs"),
    **dict.fromkeys(("doctor", "sync", "gc", "backup", "restore"), "store"),
}
"""Each command and the module that it is in."""


class Commands(click.Group):
    """Commands that are loaded when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in COMMANDS else None


def _command(name: str) -> click.Command:
    found = getattr(import_module(f"e2i.cli.commands.{COMMANDS[name]}"), name)
    assert isinstance(found, click.Command)
    return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="e2i")
def e2i() -> None:
    """Machine-learning pipelines as configuration."""


def main() -> None:
    """The console script ``e2i``."""
    process.own(lambda: e2i(prog_name="e2i"), alone=sys.argv[1:2] in (["validate"], ["plan"], ["run"]))


def main_run() -> None:
    """The console script ``e2i-run``: ``e2i run``."""
    process.own(lambda: _command("run")(args=sys.argv[1:], prog_name="e2i-run"), alone=True)


if __name__ == "__main__":
    main()
