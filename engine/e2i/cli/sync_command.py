"""Deliver the entries of the outbox to their trackers, and print a summary."""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Annotated

import click
from msgspec import Meta

from e2i.api import Workspace
from e2i.catalog.registry import SINKS
from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.progress import elsewhere
from e2i.documents import JsonDocument
from e2i.errors import Exit
from e2i.execution.delivery import DeliveryProcess
from e2i.store import ownership
from e2i.store.database import FILE
from e2i.store.history import Reader, WaitingElsewhere
from e2i.telemetry import inspection
from e2i.telemetry.entries import target_of
from e2i.telemetry.inspection import RunIds
from e2i.telemetry.outbox import Outbox, Tally
from e2i.workers.environment import for_delivery


class SyncDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i sync --json`."""

    sinks: dict[str, Tally]
    elsewhere: Annotated[list[WaitingElsewhere], Meta(description="Entries that wait for trackers of other profiles.")]
    runs: Annotated[list[RunIds], Meta(description="Runs of programs that this delivery completed.")]


def sync(workspace: Workspace, *, refused: bool, as_json: bool) -> Exit:
    """Delivers the entries for the trackers of the settings, within the flush time. Returns exit code 4 when entries
    still wait, for these or for another tracker.

    With ``refused``, also retries entries that a tracker refused before.
    """
    workspace.settings.check()
    ownership.check(workspace.store)
    tallies: dict[str, Tally] = {}
    others: list[WaitingElsewhere] = []
    runs: list[RunIds] = []
    if (workspace.store / FILE).exists():
        with Outbox(workspace.store / FILE) as outbox:
            if refused:
                outbox.restore(outbox.refused())
            before = _unfinished(outbox, workspace)
        environ = for_delivery(os.environ, threads=1, store=workspace.store, sinks=SINKS)
        tallies = DeliveryProcess(workspace.store, workspace.settings, environ, patient=False).finish()
        with Outbox(workspace.store / FILE) as outbox:
            runs = _delivered(outbox, before - _unfinished(outbox, workspace))
        others = _elsewhere(workspace)
    if as_json:
        click.echo(documents.dumps(SyncDocument(sinks=tallies, elsewhere=others, runs=runs)))
    else:
        _show(tallies, others, runs)
    return Exit.UNAVAILABLE if others or any(tally.left for tally in tallies.values()) else Exit.DONE


def _unfinished(outbox: Outbox, workspace: Workspace) -> set[tuple[str, str, str]]:
    """Returns the sink, target and id of the runs of which entries wait for the trackers of the settings."""
    targets = {sink: target_of(workspace.settings.tool(sink)) for sink in SINKS}
    return {(sink, target, run) for sink, target in targets.items() for run in outbox.unfinished(sink, target)}


def _delivered(outbox: Outbox, finished: Container[tuple[str, str, str]]) -> list[RunIds]:
    """Returns the finished ones that have two ids."""
    return [inspection.ids(run) for run in outbox.local_names() if (run.sink, run.target, run.local) in finished]


def _elsewhere(workspace: Workspace) -> list[WaitingElsewhere]:
    """Returns the entries for trackers that the settings do not name."""
    with Reader(workspace.store, lambda digest: True) as reader:
        waiting = reader.waiting_by_tracker()
    return [
        item.seen_from(workspace.settings.profile)
        for item in waiting
        if item.target != target_of(workspace.settings.tool(item.sink))
    ]


def _show(tallies: dict[str, Tally], others: list[WaitingElsewhere], runs: list[RunIds]) -> None:
    for name, tally in sorted(tallies.items()):
        problem = f": {safe(tally.problem)}" if tally.problem else ""
        click.echo(f"{name}: {tally.delivered} delivered, {tally.left} waiting, {tally.dead_lettered} refused{problem}")
        for run in runs:
            if run.tool == name:
                click.echo(f"  {safe(run.local)} → {safe(run.remote)}")
    for entries in others:
        click.echo(f"{entries.tool}: {elsewhere(entries)}")
    if not tallies and not others:
        click.echo("nothing to deliver")
