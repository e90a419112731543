"""Back up a store, or restore one from a backup.

In: folders. Out: a printed summary of what was copied.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.errors import Exit
from e2i.spec import sizes
from e2i.store import backup as backups
from e2i.store.backup import Copied


def back_up(store: Path, folder: Path, *, as_json: bool) -> Exit:
    """Copies the store. Returns exit code 4 when a corrupt artifact was left out."""
    copied = backups.back_up(store, folder, time.time_ns() // 1_000_000)
    if as_json:
        documents.show(copied)
    else:
        click.echo(f"backed up to {safe(str(folder))}: {_text(copied)}")
        for digest in copied.corrupt:
            click.echo(f"left out corrupt artifact {digest}; the next run rebuilds it", err=True)
    return Exit.UNAVAILABLE if copied.corrupt else Exit.DONE


def restore(folder: Path, store: Path, *, as_json: bool) -> Exit:
    """Creates a store from a backup."""
    copied = backups.restore(folder, store)
    if as_json:
        documents.show(copied)
    else:
        click.echo(f"restored to {safe(str(store))}: {_text(copied)}, every file verified")
    return Exit.DONE


def _text(copied: Copied) -> str:
    return (
        f"{counted(copied.files, 'file')}, {copied.databases} of them databases, {counted(copied.objects, 'artifact')},"
        f" {sizes.text(copied.size)}"
    )
