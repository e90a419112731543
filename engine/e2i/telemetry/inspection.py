"""Describe what is in the outbox, for people and programs. Reads only.

In: a connection to a database with the outbox's tables. Out: the entries of each tracker in numbers, or one by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument, JsonObject
from e2i.resilience.checksum import is_intact
from e2i.telemetry import names, quota
from e2i.telemetry.entries import Entry, named
from e2i.telemetry.names import NamedRun
from e2i.telemetry.outbox import COVERED, DROPPED, EntryState

REASONS = 20
"""Maximum number of different reasons that are listed for a tracker."""
BY_TRACKER = f"""
SELECT outbox.sink, outbox.target, max(runs.profile),
    count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'delivered' AND reason IS NULL),
    count(*) FILTER (WHERE state = 'dead-lettered'), count(*) FILTER (WHERE reason = '{DROPPED}'),
    coalesce(sum({quota.SIZE.format("outbox")}) FILTER (WHERE state != 'delivered'), 0),
    min(put_ms) FILTER (WHERE state != 'delivered')
FROM outbox LEFT JOIN runs USING (run) GROUP BY 1, 2 ORDER BY 1, 2
"""
BY_REASON = f"""
SELECT reason, count(*) FROM outbox WHERE state != 'delivered' AND state = 'dead-lettered' AND sink = ? AND target IS ?
GROUP BY reason ORDER BY 2 DESC, 1 LIMIT {REASONS}
"""
ENTRIES = f"SELECT state, reason, put_ms, {COVERED}, checksum FROM outbox"

Tracker = Annotated[str, Meta(description="Address of the tracker, without credentials.")]


class Reason(Element, frozen=True, kw_only=True):
    """Why entries were dead-lettered."""

    reason: str
    entries: Annotated[int, Meta(ge=1)]


class Queue(Element, frozen=True, kw_only=True):
    """The entries for one tracker."""

    tool: str
    tracker: Tracker
    profile: Annotated[str | None, Meta(description="Profile of the latest run among them; None: a program's.")]
    waiting: Count
    delivered: Annotated[Count, Meta(description="Kept until they are no longer needed.")]
    dead_lettered: Count
    dropped: Annotated[Count, Meta(description="By `e2i outbox drop`, as far as their keys are kept.")]
    bytes: Annotated[Count, Meta(description="Size of the waiting and the dead-lettered entries.")]
    oldest_ms: Annotated[int | None, Meta(description="When the oldest of these was recorded.")]
    reasons: Annotated[list[Reason], Meta(description="Why entries are dead-lettered, the most frequent first.")]


class ThinnedRun(Element, frozen=True, kw_only=True):
    """A run that met a full outbox."""

    run: str
    metrics: Annotated[int, Meta(ge=1, description="Number of values of metrics that were not recorded.")]


class OutboxDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i outbox list --json`."""

    trackers: list[Queue]
    bytes: Annotated[Count, Meta(description="Size of the waiting entries.")]
    limit: Annotated[int, Meta(ge=0, description="Size from which on values of metrics are thinned.")]
    thinned: Annotated[list[ThinnedRun], Meta(description="Runs of which values were not recorded for that reason.")]


class RunIds(Element, frozen=True, kw_only=True):
    """The two ids of a run that a program began while its tracker was down."""

    tool: str
    tracker: Tracker
    local: Annotated[str, Meta(description="Id that the program got: 32 hexadecimal digits.")]
    remote: Annotated[str, Meta(description="Id that the tracker gave.")]


class OutboxEntry(Element, frozen=True, kw_only=True):
    """One entry."""

    key: str
    tool: str
    tracker: Tracker
    run: str
    kind: str
    state: EntryState
    reason: Annotated[str | None, Meta(description="Why it is dead-lettered.")]
    recorded_ms: int
    body: Annotated[JsonObject | None, Meta(description="None: delivered and no longer kept, or altered.")]


class EntriesDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i outbox show KEY --json` and `e2i outbox show RUN --json`."""

    runs: list[RunIds]
    entries: list[OutboxEntry]


def outbox(connection: sqlite3.Connection, limit: int) -> OutboxDocument:
    """Returns all entries in numbers. Reads all of them."""
    return OutboxDocument(
        trackers=_queues(connection),
        bytes=quota.size(connection),
        limit=limit,
        thinned=[ThinnedRun(run=found.run, metrics=found.metrics) for found in quota.thinned(connection)],
    )


def _queues(connection: sqlite3.Connection) -> list[Queue]:
    return [
        Queue(
            tool=sink,
            tracker=named(target),
            profile=profile,
            waiting=waiting,
            delivered=delivered,
            dead_lettered=dead,
            dropped=dropped,
            bytes=size,
            oldest_ms=oldest,
            reasons=[
                Reason(reason=str(reason), entries=count)
                for reason, count in connection.execute(BY_REASON, (sink, target))
            ],
        )
        for sink, target, profile, waiting, delivered, dead, dropped, size, oldest in connection.execute(BY_TRACKER)
    ]


def entry(connection: sqlite3.Connection, key: str) -> list[OutboxEntry]:
    """Returns the entries with this key: one for each sink."""
    return list(_entries(connection.execute(f"{ENTRIES} WHERE key = ? ORDER BY sequence", (key,))))


def entries_of(connection: sqlite3.Connection, run: str) -> list[OutboxEntry]:
    """Returns the entries of a run, in order."""
    return list(_entries(connection.execute(f"{ENTRIES} WHERE run = ? ORDER BY sequence", (run,))))


def runs_named(connection: sqlite3.Connection, text: str, most: int = 10) -> list[str]:
    """Returns the runs with entries whose id, or whose tracker's id, begins so."""
    rows = connection.execute(
        "SELECT run FROM outbox WHERE substr(run, 1, length(?1)) = ?1"
        " UNION SELECT local FROM outbox_names WHERE substr(local, 1, length(?1)) = ?1"
        " OR substr(remote, 1, length(?1)) = ?1 ORDER BY 1 LIMIT ?2",
        (text, most),
    )
    return [str(row[0]) for row in rows]


def ids_of(connection: sqlite3.Connection, run: str) -> list[RunIds]:
    """Returns the pairs of ids of a run, one for each tracker that gave one."""
    return [ids(pair) for pair in names.listed(connection) if pair.local == run]


def ids(run: NamedRun) -> RunIds:
    return RunIds(tool=run.sink, tracker=named(run.target), local=run.local, remote=run.remote)


def _entries(rows: sqlite3.Cursor) -> Iterator[OutboxEntry]:
    for state, reason, put_ms, *covered in rows:
        sink, key, run, kind, body, target, _ = covered
        yield OutboxEntry(
            key=str(key),
            tool=str(sink),
            tracker=named(target),
            run=str(run),
            kind=str(kind),
            state=state,
            reason=reason,
            recorded_ms=put_ms,
            body=json.loads(body) if is_intact(tuple(covered)) else None,
        )


class Chosen(Element, frozen=True, kw_only=True):
    """Entries of one kind for one tracker."""

    tool: str
    tracker: Tracker
    kind: str
    entries: Annotated[int, Meta(ge=1)]


class ChangedDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i outbox retry --json` and `e2i outbox drop --json`."""

    done: Annotated[Literal["retried", "dropped"], Meta(description="Retried: they wait again.")]
    entries: list[Chosen]


def chosen(entries: Iterable[Entry]) -> list[Chosen]:
    """Returns entries in numbers, sorted."""
    counts = Counter((entry.sink, entry.target, entry.kind) for entry in entries)
    return [
        Chosen(tool=sink, tracker=named(target), kind=kind, entries=count)
        for (sink, target, kind), count in sorted(counts.items(), key=str)
    ]
