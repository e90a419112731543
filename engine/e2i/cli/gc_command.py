"""Remove what the user does not want to keep in a store.

In: what is to be kept. Out: the rest is removed, and a summary is printed.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.documents import JsonDocument
from e2i.errors import BadInput, Exit
from e2i.records import lookup
from e2i.settings import Settings
from e2i.spec import durations, sizes
from e2i.store import collect as collecting
from e2i.store import retention
from e2i.store.collect import DAY_MS, Freed, Wish

MOST = 20
"""Maximum number of runs that are listed by name."""


class PinnedDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i gc --pin RUN --json`, also with `--unpin`."""

    pinned: str | None
    unpinned: str | None


def wish(keep_days: float | None, max_size: str | None, settings: Settings, *, every_tool: bool) -> Wish:
    """Parses options and settings into what is to be kept. Raises BadInput for an invalid size."""
    kept = settings.retention
    days = durations.parse(kept.runs) / 86_400 if keep_days is None else keep_days
    try:
        most = None if max_size is None else sizes.parse(max_size)
    except ValueError as error:
        raise BadInput(f"--max-size: {error}", code="bad-option") from error
    keep_ms = round(days * DAY_MS)
    ages = {"mlflow": kept.mlflow_artifacts, "feast": kept.feast_sources, "optuna": kept.studies}
    embedded = {
        tool: age for tool, age in ages.items() if settings.registry.problem(tool) is None and _embedded(settings, tool)
    }
    tools = retention.wishes(keep_ms, bentos=kept.bentos, ages=embedded, logs=kept.logs, every_tool=every_tool)
    by_size_alone = keep_days is None and most is not None
    return Wish(None if by_size_alone else keep_ms, most, tools, settings.registry)


def _embedded(settings: Settings, tool: str) -> bool:
    """Returns whether the tool keeps its data in the store. A server has its own retention."""
    found = settings.tool(tool)
    return not found.identity() and found.address() is None


def collect(store: Path, wanted: Wish, *, dry_run: bool, as_json: bool) -> Exit:
    """Removes what is not wanted and prints a summary."""
    freed = collecting.collect(store, wanted, _now_ms(), dry_run=dry_run)
    if as_json:
        documents.show(freed)
    else:
        _show(freed)
    return Exit.DONE


def pin(store: Path, kept: str | None, released: str | None, *, as_json: bool) -> Exit:
    """Pins one run, unpins another, or both."""
    kept, released = (lookup.id_of(store, name) if name else None for name in (kept, released))
    if kept:
        collecting.pin(store, kept, _now_ms())
    if released:
        collecting.unpin(store, released)
    if as_json:
        documents.show(PinnedDocument(pinned=kept, unpinned=released))
    else:
        for name, state in ((kept, "is pinned"), (released, "is no longer pinned")):
            if name:
                click.echo(f"{safe(name)} {state}")
    return Exit.DONE


def _show(freed: Freed) -> None:
    rows = (
        ("runs", len(freed.runs)),
        ("results", freed.results),
        ("artifacts", freed.objects),
        ("folders", freed.folders),
        *((tool, len(names)) for tool, names in sorted(freed.tools.items())),
        *((("logs", freed.logs),) if freed.logs else ()),
    )
    click.echo("would be removed" if freed.dry_run else "removed")
    for name, count in rows:
        click.echo(f"  {name:<10} {count:>8,}")
    click.echo(f"  {'size':<10} {sizes.text(freed.size):>8}")
    for run in freed.runs[:MOST]:
        click.echo(click.style(f"  - {safe(run)}", dim=True))
    if len(freed.runs) > MOST:
        click.echo(click.style(f"  … and {len(freed.runs) - MOST} more", dim=True))
    for tool, names in sorted(freed.tools.items()):
        for name in names[:MOST]:
            click.echo(click.style(f"  - {tool} {safe(name)}", dim=True))
    if freed.tools_postponed:
        click.echo("tools and logs are left until the current runs end")
    postponed = f"; {counted(freed.postponed, 'artifact')} kept until the current runs end" if freed.postponed else ""
    click.echo(f"{sizes.text(freed.left)} of artifacts {'would be kept' if freed.dry_run else 'kept'}{postponed}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
