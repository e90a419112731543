"""What is to be kept of a store goes in; the rest is removed, and what was freed is printed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.errors import BadInput, Exit
from e2i.records import lookup
from e2i.spec import sizes
from e2i.store import collect as collecting
from e2i.store.collect import DAY_MS, Freed, Wish

KEEP_DAYS = 30
"""What is kept when nothing else is said."""
MOST = 20
"""Runs that are named one by one."""


def wish(keep_days: float | None, max_size: str | None) -> Wish:
    """What the options ask to be kept. Raises BadInput for what is no size."""
    if keep_days is None and max_size is None:
        keep_days = KEEP_DAYS
    try:
        most = None if max_size is None else sizes.parse(max_size)
    except ValueError as error:
        raise BadInput(f"--max-size: {error}", code="bad-option") from error
    return Wish(None if keep_days is None else round(keep_days * DAY_MS), most)


def collect(store: Path, wanted: Wish, *, dry_run: bool, as_json: bool) -> Exit:
    """Removes what is not wanted and says what that was."""
    freed = collecting.collect(store, wanted, _now_ms(), dry_run=dry_run)
    if as_json:
        documents.show({"schema_version": 1, "dry_run": dry_run, **freed.to_json()})
    else:
        _show(freed, dry_run)
    return Exit.DONE


def pin(store: Path, kept: str | None, let_go: str | None, *, as_json: bool) -> Exit:
    """Pins a run, lets one go, or both."""
    kept, let_go = (lookup.id_of(store, name) if name else None for name in (kept, let_go))
    if kept:
        collecting.pin(store, kept, _now_ms())
    if let_go:
        collecting.unpin(store, let_go)
    if as_json:
        documents.show({"schema_version": 1, "pinned": kept, "unpinned": let_go})
    else:
        for name, said in ((kept, "is pinned"), (let_go, "is not pinned any more")):
            if name:
                click.echo(f"{safe(name)} {said}")
    return Exit.DONE


def _show(freed: Freed, dry_run: bool) -> None:
    rows = (
        ("runs", len(freed.runs)),
        ("results", freed.results),
        ("artifacts", freed.objects),
        ("folders", freed.folders),
    )
    click.echo("would be removed" if dry_run else "removed")
    for name, count in rows:
        click.echo(f"  {name:<10} {count:>8,}")
    click.echo(f"  {'size':<10} {sizes.text(freed.size):>8}")
    for run in freed.runs[:MOST]:
        click.echo(click.style(f"  - {safe(run)}", dim=True))
    if len(freed.runs) > MOST:
        click.echo(click.style(f"  … and {len(freed.runs) - MOST} more", dim=True))
    waits = f"; {freed.postponed} artifacts wait until the runs that go on now are over" if freed.postponed else ""
    click.echo(f"{sizes.text(freed.left)} of artifacts {'would stay' if dry_run else 'stay'}{waits}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
