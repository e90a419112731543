"""The deliveries that an outbox gave up."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from e2i.telemetry.outbox import Outbox


def dead_letters(outbox: Outbox) -> list[tuple[str, str, str]]:
    """The dead-lettered entries, in order: key, sink, reason."""
    with closing(sqlite3.connect(outbox.path)) as database:
        return database.execute(
            "SELECT key, sink, reason FROM outbox WHERE state = 'dead-lettered' ORDER BY sequence"
        ).fetchall()
