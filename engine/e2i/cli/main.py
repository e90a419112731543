"""The commands ``e2i`` and ``e2i-run``.

In: the program's arguments. Out: the command that they name is run.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from e2i import __version__
from e2i.cli import process

COMMANDS = {
    "init": "project",
    **dict.fromkeys(("validate", "fix", "add", "plan", "diff"), "specs"),
    **dict.fromkeys(("explain", "catalog", "schema"), "language"),
    **dict.fromkeys(("run", "runs", "show", "export", "provenance", "report"), "runs"),
    **dict.fromkeys(("doctor", "sync", "gc", "backup", "restore"), "store"),
    **dict.fromkeys(("keys", "approve", "approvals", "revoke"), "approvals"),
    "mcp": "mcp",
    "lsp": "lsp",
    "cluster": "cluster",
    "outbox": "outbox",
    **dict.fromkeys(("test", "rehearse"), "testing"),
    "impact": "changes",
    **dict.fromkeys(("verify", "why"), "reruns"),
}
"""The module of each command."""
ALONE = (["validate"], ["plan"], ["fix"], ["diff"], ["run"])
"""The commands that use no models but the project's own, and of which nothing continues: see ``process.own``."""
HEADINGS = {
    "Author": (
        "init",
        "validate",
        "plan",
        "fix",
        "add",
        "diff",
        "impact",
        "test",
        "rehearse",
        "explain",
        "catalog",
        "schema",
        "lsp",
    ),
    "Run": ("run", "mcp"),
    "Approve": ("keys", "approve", "approvals", "revoke"),
    "Inspect": ("runs", "show", "export", "report", "provenance", "verify", "why", "doctor"),
    "Operate": ("sync", "outbox", "gc", "backup", "restore", "cluster"),
}
"""The commands under each heading of ``e2i --help``, in the order in which they are listed."""


class Commands(click.Group):
    """A group that imports a command only when it is named, and lists its commands under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in HEADINGS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one section for each heading. Names are padded so that all descriptions start in one column."""
        width = max(map(len, COMMANDS))
        limit = formatter.width - 6 - width
        for heading, names in HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), _command(name).get_short_help_str(limit)) for name in names])


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
    process.own(lambda: e2i(prog_name="e2i"), alone=sys.argv[1:2] in ALONE)


def main_run() -> None:
    """The console script ``e2i-run``: ``e2i run``."""
    process.own(lambda: _command("run")(args=sys.argv[1:], prog_name="e2i-run"), alone=True)


if __name__ == "__main__":
    main()
