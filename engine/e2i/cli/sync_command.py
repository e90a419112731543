"""The outbox goes in; what waits is delivered, and what became of it is printed."""

from __future__ import annotations

import os

import click
from msgspec.structs import asdict

from e2i.api import Workspace
from e2i.catalog import registry
from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.errors import Exit
from e2i.execution.courier import CourierProcess
from e2i.resilience.outbox import Outbox
from e2i.store.database import FILE
from e2i.workers.environment import for_delivery


def sync(workspace: Workspace, *, refused: bool, as_json: bool) -> Exit:
    """Delivers everything that waits, within the flush time. Exit code 4 when something still waits.

    With ``refused``, what a tracker refused before is tried once more.
    """
    workspace.settings.check()
    tallies = {}
    if (workspace.store / FILE).exists():
        if refused:
            with Outbox(workspace.store / FILE) as outbox:
                for sink in registry.SINKS:
                    outbox.restore(sink)
        environ = for_delivery(os.environ, threads=1, store=workspace.store, sinks=registry.SINKS)
        tallies = CourierProcess(workspace.store, workspace.settings, environ).finish()
    if as_json:
        click.echo(
            documents.dumps({"schema_version": 1, "sinks": {name: asdict(tally) for name, tally in tallies.items()}})
        )
    else:
        for name, tally in sorted(tallies.items()):
            problem = f": {safe(tally.problem)}" if tally.problem else ""
            click.echo(f"{name}: {tally.delivered} delivered, {tally.left} waiting, {tally.set_aside} refused{problem}")
        if not tallies:
            click.echo("nothing waits")
    return Exit.UNAVAILABLE if any(tally.left for tally in tallies.values()) else Exit.DONE
