"""Deliver the entries of the outbox to their trackers, and print a summary."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import click
from msgspec import Meta
from msgspec.structs import replace

from e2i.api import Workspace
from e2i.catalog import credentials
from e2i.catalog.action import without_credentials
from e2i.catalog.registry import SINKS
from e2i.cli import deferred_command, documents
from e2i.cli.deferred_command import CompletedRun
from e2i.cli.problems_view import safe
from e2i.cli.progress import elsewhere
from e2i.documents import JsonDocument
from e2i.errors import BadInput, Exit
from e2i.execution.delivery import DeliveryProcess
from e2i.resilience.guard import without_accounts
from e2i.settings import Settings
from e2i.store import ownership
from e2i.store.database import FILE
from e2i.store.history import Reader, Waiting, WaitingElsewhere
from e2i.telemetry import inspection
from e2i.telemetry.entries import named, target_of
from e2i.telemetry.inspection import RunIds
from e2i.telemetry.outbox import Outbox, Tally
from e2i.workers.environment import for_delivery


class SyncDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i sync --json`."""

    sinks: dict[str, Tally]
    elsewhere: Annotated[list[WaitingElsewhere], Meta(description="Entries that wait for trackers of other profiles.")]
    completed: Annotated[list[CompletedRun], Meta(description="Earlier runs with deferred steps, oldest first.")]
    runs: Annotated[list[RunIds], Meta(description="Runs of programs that this delivery completed.")]


TIMEOUT = 60.0
"""Seconds for which ``e2i sync`` delivers, unless its option sets others."""


def sync(
    workspace: Workspace, *, refused: bool, address: str | None = None, timeout: float = TIMEOUT, as_json: bool
) -> Exit:
    """Delivers the entries for the trackers of the settings, for at most ``timeout`` seconds, then executes the
    deferred steps of earlier runs. A timeout that is shorter than the deadline of one call is as long.

    With ``refused``, also retries entries that a tracker refused before. With ``address``, only delivers the entries
    for that address. Returns exit code 4 when entries still wait, for these or for another tracker, or steps are still
    deferred; 1 when a step failed.
    """
    workspace.settings.check()
    ownership.check(workspace.store)
    found = SyncDocument(sinks={}, elsewhere=[], completed=[], runs=[])
    if address is not None:
        found = _sync_to(workspace, address, timeout, refused=refused)
    elif (workspace.store / FILE).exists():
        found = _sync(workspace, timeout, refused=refused, quiet=as_json)
    if as_json:
        click.echo(documents.dumps(found))
    else:
        _show(found)
    codes = {run.exit_code for run in found.completed}
    if found.elsewhere or any(tally.left for tally in found.sinks.values()):
        codes.add(Exit.UNAVAILABLE)
    return next((code for code in (Exit.STEP_FAILED, Exit.UNAVAILABLE) if code in codes), Exit.DONE)


def _sync(workspace: Workspace, timeout: float, *, refused: bool, quiet: bool) -> SyncDocument:
    store, settings = workspace.store, workspace.settings
    with Outbox(store / FILE) as outbox:
        if refused:
            outbox.restore(outbox.refused())
        before = _unfinished(outbox, settings)
    tallies = _deliver(store, settings, timeout)
    completed, records = deferred_command.complete(workspace, quiet=quiet)
    for record in records:
        tallies = _added(tallies, record.telemetry)
    with Outbox(store / FILE) as outbox:
        runs = _delivered(outbox, before - _unfinished(outbox, settings))
    return SyncDocument(sinks=tallies, elsewhere=_elsewhere(store, settings), completed=completed, runs=runs)


def _sync_to(workspace: Workspace, address: str, timeout: float, *, refused: bool) -> SyncDocument:
    """Delivers the entries for one address, of each tool and each part of its server that they are for."""
    is_token = address.lower().startswith("http") and without_accounts(address) != address
    if is_token or any(credentials.found_in(address)):
        raise BadInput(
            "the address holds credentials, and a command line is visible to all users of this machine",
            code="bad-option",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN), or "
            f"OPIK_API_KEY, or add a profile, and use `--to {credentials.without(address)}`",
        )
    store = workspace.store
    if refused and (store / FILE).exists():
        with Outbox(store / FILE) as outbox:
            outbox.restore(outbox.refused())
    meant = [found for item in _waiting(store) if (found := redirected(workspace.settings, item, address)) is not None]
    if not meant:
        waiting = ", ".join(sorted({named(item.target) for item in _waiting(store)}))
        hint = f"entries wait for: {waiting}" if waiting else "no entries wait"
        raise BadInput(f"no entries wait for {without_accounts(address)}", code="bad-option", hint=hint)
    tallies: dict[str, Tally] = {}
    runs: list[RunIds] = []
    for tool, settings in meant:
        with Outbox(store / FILE) as outbox:
            before = _unfinished(outbox, settings, (tool,))
            delivered = _deliver(store, settings, timeout)
            tallies = _added(tallies, {name: tally for name, tally in delivered.items() if name == tool})
            runs += _delivered(outbox, before - _unfinished(outbox, settings, (tool,)))
    return SyncDocument(sinks=tallies, elsewhere=[], completed=[], runs=runs)


def redirected(settings: Settings, waiting: Waiting, address: str) -> tuple[str, Settings] | None:
    """Returns the tool and the settings with which the waiting entries reach the tracker at ``address``; None when they
    are not meant for it. What the address does not say, such as a deadline or a key, is as in ``settings``.
    """
    identity: dict[str, str | None] = json.loads(waiting.target or "{}")
    wanted = without_credentials(address)
    if wanted not in identity.values():
        return None
    if wanted == address and waiting.target == target_of(settings.tool(waiting.sink)):
        return waiting.sink, settings  # with the credentials that their own address holds
    fields = {name: address if value == wanted else value for name, value in identity.items()}
    tools = {**settings.tools, waiting.sink: {**settings.tools.get(waiting.sink, {}), **fields}}
    return waiting.sink, settings.model_copy(update={"tools": tools})


def _deliver(store: Path, settings: Settings, timeout: float) -> dict[str, Tally]:
    """Delivers for at most ``timeout`` seconds, but at least for as long as one call of a tracker may take."""
    seconds = max(timeout, *(settings.tool(name).deadline for name in SINKS))
    settings = settings.model_copy(update={"flush": seconds})
    environ = for_delivery(os.environ, threads=1, store=store, sinks=SINKS)
    return DeliveryProcess(store, settings, environ, patient=False).finish()


def _added(tallies: dict[str, Tally], more: Mapping[str, Tally]) -> dict[str, Tally]:
    """Returns the tallies after another delivery: its counts are added, what it left counts alone."""
    added = {
        name: replace(
            tally,
            delivered=tally.delivered + tallies.get(name, Tally()).delivered,
            dead_lettered=tally.dead_lettered + tallies.get(name, Tally()).dead_lettered,
        )
        for name, tally in more.items()
    }
    return {**tallies, **added}


def _unfinished(outbox: Outbox, settings: Settings, sinks: Sequence[str] = SINKS) -> set[tuple[str, str, str]]:
    """Returns the sink, target and id of the runs of which entries wait for the trackers of the settings."""
    targets = {sink: target_of(settings.tool(sink)) for sink in sinks}
    return {(sink, target, run) for sink, target in targets.items() for run in outbox.unfinished(sink, target)}


def _delivered(outbox: Outbox, finished: Container[tuple[str, str, str]]) -> list[RunIds]:
    """Returns the finished ones that have two ids."""
    return [inspection.ids(run) for run in outbox.local_names() if (run.sink, run.target, run.local) in finished]


def _waiting(store: Path) -> list[Waiting]:
    if not (store / FILE).exists():
        return []
    with Reader(store, lambda digest: True) as reader:
        return reader.waiting_by_tracker()


def _elsewhere(store: Path, settings: Settings) -> list[WaitingElsewhere]:
    """Returns the entries for trackers that the settings do not name."""
    return [
        item.seen_from(settings.profile)
        for item in _waiting(store)
        if item.target != target_of(settings.tool(item.sink))
    ]


def _show(found: SyncDocument) -> None:
    for name, tally in sorted(found.sinks.items()):
        problem = f": {safe(tally.problem)}" if tally.problem else ""
        click.echo(f"{name}: {tally.delivered} delivered, {tally.left} waiting, {tally.dead_lettered} refused{problem}")
        for run in found.runs:
            if run.tool == name:
                click.echo(f"  {safe(run.local)} → {safe(run.remote)}")
    for entries in found.elsewhere:
        click.echo(f"{entries.tool}: {elsewhere(entries)}")
    deferred_command.show(found.completed)
    if not found.sinks and not found.elsewhere and not found.completed:
        click.echo("nothing to deliver")
