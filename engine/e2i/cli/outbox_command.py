"""Show what waits in the outbox, and decide about what trackers refused.

In: keys of entries, ids of runs. Out: a printed summary; entries that wait again, or that are given up.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click

from e2i.api import Workspace
from e2i.catalog.registry import SINKS
from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.runs_view import moment
from e2i.cli.wording import counted
from e2i.errors import BadInput, Exit
from e2i.spec import sizes, suggest
from e2i.store import ownership
from e2i.store.database import FILE
from e2i.store.history import Reader
from e2i.telemetry import inspection
from e2i.telemetry.attempts import STARTS
from e2i.telemetry.entries import Entry
from e2i.telemetry.inspection import ChangedDocument, Chosen, EntriesDocument, OutboxDocument, Queue, Reason
from e2i.telemetry.outbox import ALTERED, Outbox

MOST = 40
"""Maximum number of entries that are printed for people."""
FEW = 5
"""Maximum number of runs in a message."""
WIDTH = 300
"""Maximum number of characters of a body that are printed for people."""


def show_all(workspace: Workspace, *, as_json: bool) -> Exit:
    """Prints the entries of each tracker in numbers. Changes nothing."""
    limit = sizes.parse(workspace.settings.outbox_limit)
    document = OutboxDocument(trackers=[], bytes=0, limit=limit, thinned=[])
    if (workspace.store / FILE).exists():
        with _reader(workspace.store) as reader:
            document = reader.outbox(partial(inspection.outbox, limit=limit))
    if as_json:
        documents.show(document)
        return Exit.DONE
    for queue in document.trackers:
        _show_queue(queue)
    for run in document.thinned:
        click.echo(f"run {safe(run.run)}: {counted(run.metrics, 'value')} of metrics not recorded, the outbox was full")
    if document.trackers:
        click.echo(f"{sizes.text(document.bytes)} waiting, limit {sizes.text(limit)}")
    else:
        click.echo("the outbox is empty")
    return Exit.DONE


def show(workspace: Workspace, name: str, *, as_json: bool) -> Exit:
    """Prints one entry, or the entries of a run and its ids. Raises BadInput for an unknown name."""
    found = _named(workspace.store, name)
    if as_json:
        documents.show(found)
        return Exit.DONE
    for run in found.runs:
        click.echo(f"{run.tool}: {safe(run.local)} → {safe(run.remote)} ({safe(run.tracker)})")
    for entry in found.entries[:MOST]:
        reason = f": {safe(entry.reason)}" if entry.reason else ""
        click.echo(f"{safe(entry.key)}  {entry.kind}  {entry.tool}  {entry.state}{reason}")
        if entry.body is not None:
            text = documents.dumps(entry.body)
            click.echo(click.style(f"  {text if len(text) <= WIDTH else text[: WIDTH - 1] + '…'}", dim=True))
    if len(found.entries) > MOST:
        click.echo(f"… and {counted(len(found.entries) - MOST, 'entry')} more; --json prints all")
    return Exit.DONE


def retry(workspace: Workspace, tool: str | None, names: Sequence[str], *, as_json: bool) -> Exit:
    """Queues dead-lettered entries again: all, those of a tool, or those named. Altered ones stay as they are."""
    _check_tool(tool)
    done: list[Entry] = []
    keys = _keys(workspace.store, names)
    if (workspace.store / FILE).exists():
        ownership.check(workspace.store)
        with Outbox(workspace.store / FILE) as outbox:
            done = outbox.restore(outbox.refused(keys=keys, sink=tool))
    _report("retried", done, as_json)
    if done and not as_json:
        click.echo("`e2i sync` delivers them")
    return Exit.DONE


def drop(
    workspace: Workspace, tool: str | None, names: Sequence[str], *, dead_lettered: bool, yes: bool, as_json: bool
) -> Exit:
    """Gives up entries after a confirmation. Raises BadInput without one."""
    _check_tool(tool)
    if not names and not dead_lettered:
        raise BadInput(
            "nothing to drop is named",
            code="bad-option",
            hint="name keys or runs, or pass --dead-lettered for what trackers refused; `e2i outbox list` shows it",
        )
    keys = _keys(workspace.store, names)
    if not (workspace.store / FILE).exists():
        _report("dropped", [], as_json)
        return Exit.DONE
    ownership.check(workspace.store)
    with Outbox(workspace.store / FILE) as outbox:
        wanted = (outbox.refused if dead_lettered else outbox.undelivered)(keys=keys, sink=tool)
        _refuse_stranding(wanted, outbox.undelivered())
        if wanted and not yes:
            _confirm(wanted)
        done = outbox.drop(wanted)
    _report("dropped", done, as_json)
    return Exit.DONE


def _refuse_stranding(wanted: Sequence[Entry], undelivered: Sequence[Entry]) -> None:
    """Raises BadInput when the start of a run would be dropped without its other entries: no tracker takes these."""
    dropped = {entry.sequence for entry in wanted}
    starts = {(entry.run, entry.sink, entry.target) for entry in wanted if entry.kind in STARTS}
    left = Counter(
        entry.run
        for entry in undelivered
        if entry.sequence not in dropped and (entry.run, entry.sink, entry.target) in starts
    )
    if left:
        raise BadInput(
            f"without the start of their run, {counted(left.total(), 'entry')} could not be delivered: "
            + ", ".join(f"{count} of {run}" for run, count in sorted(left.items())[:FEW]),
            code="bad-option",
            hint=f"drop the whole run: e2i outbox drop {' '.join(sorted(left)[:FEW])}",
        )


def _confirm(wanted: Sequence[Entry]) -> None:
    if not sys.stdin.isatty():
        raise BadInput(
            f"{counted(len(wanted), 'entry')} would be dropped, and nobody can be asked",
            code="bad-option",
            hint="pass --yes to drop without a question",
        )
    for line in _lines(inspection.chosen(wanted)):
        click.echo(line, err=True)
    click.confirm("Drop these? They are then delivered to no tracker.", abort=True, err=True)


def _report(done: Literal["retried", "dropped"], entries: Sequence[Entry], as_json: bool) -> None:
    found = inspection.chosen(entries)
    if as_json:
        documents.show(ChangedDocument(done=done, entries=found))
        return
    click.echo(f"{done} {counted(len(entries), 'entry')}")
    for line in _lines(found):
        click.echo(line)


def _lines(found: Sequence[Chosen]) -> list[str]:
    return [f"  {item.entries:>6,} {safe(item.kind)} for {item.tool}, {safe(item.tracker)}" for item in found]


def _show_queue(queue: Queue) -> None:
    profile = f", profile {safe(queue.profile)}" if queue.profile else ""
    click.echo(f"{click.style(queue.tool, bold=True)}  {safe(queue.tracker)}{profile}")
    since = f" since {moment(queue.oldest_ms)}" if queue.oldest_ms else ""
    size = f", {sizes.text(queue.bytes)}{since}" if queue.bytes else ""
    counts = f"{queue.waiting:,} waiting, {queue.delivered:,} delivered, {queue.dead_lettered:,} dead-lettered"
    dropped = f", {queue.dropped:,} dropped" if queue.dropped else ""
    click.echo(f"  {counts}{dropped}{size}")
    for reason in queue.reasons:
        click.echo(click.style(f"  {reason.entries:>6,} × {safe(reason.reason)}{_hint(reason)}", fg="yellow"))


def _hint(reason: Reason) -> str:
    return "" if reason.reason == ALTERED else " (e2i outbox retry)"


def _keys(store: Path, names: Sequence[str]) -> list[str] | None:
    """Returns the keys of the named entries and of those of the named runs; None without names."""
    return [entry.key for name in names for entry in _named(store, name).entries] if names else None


def _named(store: Path, name: str) -> EntriesDocument:
    """Returns the entry with this key, or the entries of the run with this id or prefix. Raises BadInput."""
    runs: list[str] = []
    if name and (store / FILE).exists():
        with _reader(store) as reader:
            if entries := reader.outbox(partial(inspection.entry, key=name)):
                return EntriesDocument(runs=[], entries=entries)
            runs = reader.named(name) if name.startswith("last") else []
            runs = runs or reader.outbox(partial(inspection.runs_named, text=name))
            if len(runs) == 1:
                return EntriesDocument(
                    runs=reader.outbox(partial(inspection.ids_of, run=runs[0])),
                    entries=reader.outbox(partial(inspection.entries_of, run=runs[0])),
                )
    if runs:
        hint = "use more characters of the id"
        raise BadInput(f"several runs begin with {name!r}: {', '.join(runs)}", code="unknown-entry", hint=hint)
    raise BadInput(
        f"the outbox of {store} has no entry and no run {name!r}",
        code="unknown-entry",
        hint="`e2i outbox list` shows what is in it, `e2i runs` lists the runs",
    )


def _check_tool(tool: str | None) -> None:
    if tool is not None and tool not in SINKS:
        hint = suggest.hint(tool, SINKS)
        raise BadInput(f"--tool: {tool!r} does not accept telemetry", code="unknown-tool", hint=hint)


def _reader(store: Path) -> Reader:
    return Reader(store, lambda digest: True)
