"""Commands about a store and its tools: health, delivery, cleaning, backup."""

from __future__ import annotations

from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.cli.logged import logged
from e2i.errors import Exit


@click.command(cls=flags.Inert)
@click.option("--metrics", is_flag=True, help="Also write the metrics file of the settings, with the store's size.")
@click.option("--ready", is_flag=True, help="Exit with 0 only if the store and every configured service are ready.")
@flags.profile
@flags.store
@flags.json
@guarded
@logged
def doctor(ready: bool, metrics: bool, profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Check the tools and the stores. Shows version, mode, reachability, outbox and last failure."""
    from e2i import api
    from e2i.cli import readiness
    from e2i.cli.doctor import examine
    from e2i.cli.doctor_view import show

    workspace = api.Workspace.open(store=store, profile=profile)
    if metrics:
        from e2i.cli import metrics_command

        metrics_command.write(workspace)
    if ready:
        answers = readiness.examine(workspace)
        documents.show(answers) if as_json else readiness.show(answers)
        return answers.exit_code
    found = examine(workspace)
    documents.show(found) if as_json else show(found, workspace)
    return found.exit_code


@click.command(cls=flags.Inert)
@click.option("--refused", is_flag=True, help="Also retry entries that a tracker refused.")
@click.option(
    "--to",
    "address",
    metavar="ADDRESS",
    help="Deliver only the entries meant for this address, which no profile has, without credentials.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Deliver for at most this long. `flush` in config/ limits the ends of runs only.",
)
@flags.profile
@flags.store
@flags.json
@guarded
@logged
def sync(
    refused: bool, address: str | None, timeout: float, profile: str | None, store: Path | None, as_json: bool
) -> Exit:
    """Deliver what waits in the outbox. Executes deferred steps.

    Each entry goes to the tracker that it is meant for. Steps of earlier runs that were deferred are executed when
    their tool is back, and then the steps below them.
    """
    from e2i import api
    from e2i.cli import sync_command

    workspace = api.Workspace.open(store=store, profile=profile)
    try:
        return sync_command.sync(workspace, refused=refused, address=address, timeout=timeout, as_json=as_json)
    finally:
        if workspace.settings.metrics_file:
            from e2i.cli import metrics_command

            metrics_command.refresh(workspace)


@click.command(cls=flags.Inert)
@click.option("--keep-days", type=click.FloatRange(0, 36_500), metavar="N", help="Keep the runs of the last N days.")
@click.option("--max-size", metavar="SIZE", help="Keep the latest runs whose artifacts fit, such as 10GB.")
@click.option("--tools", "every_tool", is_flag=True, help="Also remove what tools keep and no kept run needs.")
@click.option("--pin", metavar="RUN", help="Never remove this run. Removes nothing itself.")
@click.option("--unpin", metavar="RUN", help="Allow this run to be removed again. Removes nothing itself.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed without removing it.")
@flags.profile
@flags.store
@flags.json
@guarded
@logged
def gc(
    keep_days: float | None,
    max_size: str | None,
    every_tool: bool,
    pin: str | None,
    unpin: str | None,
    dry_run: bool,
    profile: str | None,
    store: Path | None,
    as_json: bool,
) -> Exit:
    """Remove what no kept run needs. By default, keep the last 30 days, or what `retention:` in config/ sets.

    Removes runs, results and artifacts; with --tools or settings, also Bentos, Feast versions, studies and files of
    deleted MLflow runs. Pinned and running runs are never touched.
    """
    from e2i import api
    from e2i.cli import gc_command

    workspace = api.Workspace.open(store=store, profile=profile)
    if pin or unpin:
        return gc_command.pin(workspace.store, pin, unpin, as_json=as_json)
    wish = gc_command.wish(keep_days, max_size, workspace.settings, every_tool=every_tool)
    return gc_command.collect(workspace.store, wish, dry_run=dry_run, as_json=as_json)


@click.command(cls=flags.Inert)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@flags.store
@flags.json
@guarded
@logged
def backup(folder: Path, store: Path | None, as_json: bool) -> Exit:
    """Copy the store to a new folder DIR, also during runs."""
    from e2i import api
    from e2i.cli import backup_command

    return backup_command.back_up(api.Workspace.open(store=store).store, folder, as_json=as_json)


@click.command(cls=flags.Inert)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@flags.store
@flags.json
@guarded
@logged
def restore(folder: Path, store: Path | None, as_json: bool) -> Exit:
    """Create a store from the backup in DIR and verify every file. There must be no store yet."""
    from e2i import api
    from e2i.cli import backup_command

    return backup_command.restore(folder, api.Workspace.open(store=store).store, as_json=as_json)
