"""The command group about the outbox: what waits for trackers, and what they refused."""

from __future__ import annotations

from pathlib import Path

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit


def tool(command: flags.F) -> flags.F:
    return click.option("--tool", metavar="T", help="Only entries for this tool, such as mlflow.")(command)


@click.group()
def outbox() -> None:
    """Show, retry or drop the telemetry that waits for trackers.

    `e2i sync` delivers it. NAME is the key of an entry, the id of a run, or the beginning of a run's id.
    """


@outbox.command("list", cls=flags.Inert)
@flags.profile
@flags.store
@flags.json
@guarded
def show_all(profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Count the entries by tool and tracker: waiting, delivered, dead-lettered and why."""
    from e2i import api
    from e2i.cli import outbox_command

    return outbox_command.show_all(api.Workspace.open(store=store, profile=profile), as_json=as_json)


@outbox.command(cls=flags.Inert)
@click.argument("name")
@flags.profile
@flags.store
@flags.json
@guarded
def show(name: str, profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Show one entry, or all entries of a run and the ids that trackers gave it."""
    from e2i import api
    from e2i.cli import outbox_command

    return outbox_command.show(api.Workspace.open(store=store, profile=profile), name, as_json=as_json)


@outbox.command(cls=flags.Inert)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@tool
@flags.profile
@flags.store
@flags.json
@guarded
def retry(names: tuple[str, ...], tool: str | None, profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Queue dead-lettered entries again. Without NAME, all of them."""
    from e2i import api
    from e2i.cli import outbox_command

    return outbox_command.retry(api.Workspace.open(store=store, profile=profile), tool, names, as_json=as_json)


@outbox.command(cls=flags.Inert)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@tool
@click.option("--dead-lettered", is_flag=True, help="Only what trackers refused; needed without NAME.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@flags.profile
@flags.store
@flags.json
@guarded
def drop(
    names: tuple[str, ...],
    tool: str | None,
    dead_lettered: bool,
    yes: bool,
    profile: str | None,
    store: Path | None,
    as_json: bool,
) -> Exit:
    """Give entries up for good: they are delivered to no tracker."""
    from e2i import api
    from e2i.cli import outbox_command

    return outbox_command.drop(
        api.Workspace.open(store=store, profile=profile),
        tool,
        names,
        dead_lettered=dead_lettered,
        yes=yes,
        as_json=as_json,
    )
