"""Durable queue of telemetry entries. In: entries. Out: the same in order, until their sink accepts or refuses each.

The queue is a SQLite file, which several processes may use at once. Refused entries are kept whole, with the reason.
Entries that were changed on disk are kept too, but never delivered. Delivered entries are kept until their run has
ended, so that a sink that lost them can receive them again. Then only their keys remain for a long time, so that an
entry that is put again is not delivered again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from msgspec import Meta, Struct

from e2i.documents import Count
from e2i.resilience.checksum import SqlValue, checksum, is_intact, legible
from e2i.resilience.transaction import keep_write_ahead_log, transaction
from e2i.telemetry import attempts, names, quota
from e2i.telemetry.attempts import Attempts, Poison
from e2i.telemetry.bodies import ENDS, STARTS
from e2i.telemetry.entries import Entry, keyed
from e2i.telemetry.names import NamedRun

TABLES = (
    """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    key TEXT NOT NULL,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead-lettered')),
    reason TEXT,
    checksum TEXT NOT NULL DEFAULT '',
    target TEXT DEFAULT NULL,
    put_ms INTEGER DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    UNIQUE (sink, key)
);
CREATE INDEX IF NOT EXISTS outbox_unfinished ON outbox (state, sink, sequence) WHERE state != 'delivered';
CREATE TABLE IF NOT EXISTS outbox_dispatchers (sink TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
"""
    + names.TABLE
    + attempts.TABLE
    + quota.TABLE
)
"""The outbox's tables, with ``CREATE … IF NOT EXISTS``, so that the engine may store them in its own database."""

NAMES = ("outbox", "outbox_dispatchers", "outbox_names", "outbox_attempts", "outbox_size", "outbox_thinned")
"""All of them."""

KEYS_KEPT = 100_000
"""Number of recent keys that are kept after their run has ended."""
SETTLED = "null"
"""The body of a delivered entry that is not needed again."""
ALTERED = "it was altered since it was written"
"""Reason of a dead-lettered entry whose checksum does not match: it is neither delivered nor read."""

DROPPED = "dropped by e2i outbox drop"
"""Reason of an entry that a user gave up. Its key is kept like that of a delivered one, so that it does not return."""

EntryState = Literal["waiting", "delivered", "dead-lettered"]
STATES = get_args(EntryState)
PRIMARY = 0xFF
"""Mask of the bits in an error's code that SQLite calls its primary result code."""
COVERED = "sink, key, run, kind, body, target"
"""Columns that the checksum of an entry covers."""
PUT = f"INSERT OR IGNORE INTO outbox ({COVERED}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
WAITING = "outbox.state != 'delivered' AND outbox.state = 'waiting'"
"""Redundant, so that SQLite uses the index of undelivered entries instead of reading all delivered ones."""
MEANT = "(target IS NULL OR target = ?)"
"""Condition for entries of a tracker: an entry of an older version has no target and is delivered to any."""
TAKE = (
    f"SELECT sequence, {COVERED}, checksum FROM outbox"
    f" WHERE {WAITING} AND sink = ? AND {MEANT} ORDER BY sequence LIMIT ?"
)
DELIVERED = "UPDATE outbox SET state = 'delivered', reason = NULL WHERE sequence = ? AND key = ? AND state = 'waiting'"
DEAD_LETTER = "UPDATE outbox SET state = 'dead-lettered', reason = ? WHERE sequence = ?"
RESTORE = (
    "UPDATE outbox SET state = 'waiting', reason = NULL"
    " WHERE sequence = ? AND key = ? AND state = 'dead-lettered' AND reason != ?"
)
DROP = (
    f"UPDATE outbox SET state = 'delivered', reason = ?, body = '{SETTLED}', checksum = ''"
    " WHERE sequence = ? AND key = ? AND state != 'delivered'"
)
DEAD_PROGRAMS = (
    "SELECT sink, target, run, json_extract(body, '$.holder') FROM outbox AS begun WHERE kind = 'program.started'"
    f" AND body != '{SETTLED}' AND state != 'dead-lettered' AND NOT EXISTS (SELECT 1 FROM outbox AS ended"
    " WHERE ended.sink = begun.sink AND ended.run = begun.run AND ended.kind = 'program.finished')"
)
"""The runs of programs that have begun and not ended, with the process of each."""
OF_RUN = "sink = ? AND key >= ? AND key < ?"
"""Condition for the entries of a run to a sink. Their keys begin with the run's id and a slash, which one index serves.
"""


class Tally(Struct, frozen=True):
    """Delivery of the entries for one tracker."""

    delivered: Count = 0
    dead_lettered: Annotated[Count, Meta(description="Refused permanently, or altered on disk.")] = 0
    left: Annotated[Count, Meta(description="Entries that still wait.")] = 0
    problem: Annotated[str | None, Meta(description="Why some wait, if the reason is known.")] = None
    elsewhere: Annotated[Count, Meta(description="Entries that wait for another tracker of this tool.")] = 0
    redelivered: Annotated[Count, Meta(description="Entries delivered again because the tracker had lost them.")] = 0
    altered: Annotated[Count, Meta(description="Dead-lettered entries that were altered on disk.")] = 0


class Outbox:
    """The queue in the SQLite file ``path`` (WAL, every commit synced to disk). One object belongs to one thread.

    ``wait`` is how long (seconds) to wait for another process's transaction. Raises sqlite3.Error.
    """

    def __init__(self, path: Path, *, wait: float = 5.0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.altered = 0
        """Number of changed entries that ``take`` found and dead-lettered."""
        self._database = sqlite3.connect(path, timeout=wait, isolation_level=None)
        self._database.text_factory = legible
        keep_write_ahead_log(self._database, wait=wait)
        self._database.execute("PRAGMA synchronous = FULL")
        if self._database.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN {NAMES}").fetchone()[0] < len(
            NAMES
        ):
            self._database.executescript(TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def put(self, entries: Iterable[Entry]) -> None:
        """Adds entries, all or none. An entry whose key the sink has received before is ignored.

        Raises ValueError when a body is not JSON, such as a NaN.
        """
        with transaction(self._database):
            put(self._database, entries)

    def take(self, sink: str, limit: int = 500, *, target: str = "") -> list[Entry]:
        """Returns the oldest waiting entries of a sink for the tracker ``target``, in order.

        They stay in the queue until acknowledged or dead-lettered. Entries that were changed since they were written
        are dead-lettered at once and never returned.
        """
        quarantined = False
        while True:
            rows = self._waiting(sink, target, limit)
            altered = [row for row in rows if not is_intact(row[1:])]
            if not altered:
                return [_to_entry(row) for row in rows]
            if not self._set_altered_aside(altered):
                if quarantined:
                    raise sqlite3.DatabaseError("entries of the outbox can be neither read nor dead-lettered")
                self._database.execute("REINDEX outbox")  # which found them by mistake
                quarantined = True

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        """Marks entries (as taken) delivered. They are kept until ``settle``."""
        self._mark(DELIVERED, list(entries))

    def settle(self, sink: str, run: str, *, target: str = "") -> None:
        """Keeps only the keys of a run's delivered entries, after its end was delivered; removes old keys."""
        with transaction(self._database):
            self._database.execute(
                f"UPDATE outbox SET body = '{SETTLED}', checksum = ''"
                f" WHERE {OF_RUN} AND {MEANT} AND state = 'delivered'",
                (*_of_run(sink, run), target),
            )
            self._database.execute(
                f"DELETE FROM outbox WHERE state = 'delivered' AND body = '{SETTLED}'"
                " AND sequence <= (SELECT max(sequence) FROM outbox) - ?",
                (KEYS_KEPT,),
            )

    def redeliver(self, sink: str, *, target: str = "") -> int:
        """Queues delivered entries of unfinished runs again, because the tracker lost them. Returns how many."""
        changed = self._database.execute(
            "UPDATE outbox SET state = 'waiting'"
            f" WHERE sink = ? AND {MEANT} AND state = 'delivered' AND body != '{SETTLED}'",
            (sink, target),
        )
        return changed.rowcount

    def dead_letter(self, entries: Iterable[Entry], reason: str) -> None:
        """Removes entries from the queue and keeps them with the reason."""
        self._mark(f"{DEAD_LETTER} AND key = ? AND state = 'waiting'", list(entries), reason)

    def undelivered(self, *, keys: Iterable[str] | None = None, sink: str | None = None) -> list[Entry]:
        """Returns the waiting and the dead-lettered entries, of these keys and of that sink only, in order."""
        return [_to_entry(row) for row in self._undelivered("true", keys, sink)]

    def refused(self, *, keys: Iterable[str] | None = None, sink: str | None = None) -> list[Entry]:
        """Returns the dead-lettered entries, of these keys and of that sink only, in order."""
        return [_to_entry(row) for row in self._undelivered("state = 'dead-lettered'", keys, sink)]

    def restore(self, entries: Iterable[Entry]) -> list[Entry]:
        """Queues dead-lettered entries again, in their old order, but none that was altered. Returns them."""
        found = []
        with transaction(self._database):
            for entry in entries:
                changed = self._database.execute(RESTORE, (entry.sequence, entry.key, ALTERED))
                found += [entry] * changed.rowcount
        return found

    def drop(self, entries: Iterable[Entry]) -> list[Entry]:
        """Gives up entries that are not delivered. Returns them. Their keys are kept, so that they do not return."""
        found = []
        with transaction(self._database):
            for entry in entries:
                changed = self._database.execute(DROP, (DROPPED, entry.sequence, entry.key))
                found += [entry] * changed.rowcount
        return found

    def depth(self) -> dict[str, int]:
        """Returns how many entries wait, by sink, without zeros. Reads an index of the waiting entries only."""
        rows = self._database.execute(f"SELECT sink, count(*) FROM outbox WHERE {WAITING} GROUP BY sink ORDER BY sink")
        return dict(rows.fetchall())

    def size(self) -> int:
        """Returns the bytes of all waiting entries, whatever they are for."""
        return quota.size(self._database)

    def thin(self, run: str) -> None:
        """Counts one value of a metric of a run that was not recorded because the outbox was full."""
        quota.thin(self._database, run)

    def waiting(self, sink: str, target: str) -> tuple[int, int]:
        """Returns how many entries of a sink wait for the tracker ``target``, and how many for others."""
        row = self._database.execute(
            f"SELECT count(*) FILTER (WHERE {MEANT}), count(*) FROM outbox WHERE {WAITING} AND sink = ?", (target, sink)
        ).fetchone()
        return row[0], row[1] - row[0]

    def is_start_refused(self, sink: str, run: str) -> bool:
        """Returns whether the sink has refused the start of a run, so that it cannot know the run."""
        row = self._database.execute(
            f"SELECT 1 FROM outbox WHERE {OF_RUN} AND state = 'dead-lettered' AND kind IN {STARTS} LIMIT 1",
            _of_run(sink, run),
        ).fetchone()
        return row is not None

    def end_dead_programs(self, alive: Callable[[str], bool], now_ms: int) -> None:
        """Adds an end to each run of a program whose process has exited without one: it was killed."""
        rows = self._database.execute(DEAD_PROGRAMS).fetchall()
        self.put(
            Entry(
                keyed(f"{run}/killed", target),
                sink,
                run,
                "program.finished",
                {"status": "KILLED", "ended_ms": now_ms},
                target=target,
            )
            for sink, target, run, holder in rows
            if holder and not alive(str(holder))
        )

    def waiting_of_run(self, sink: str, run: str) -> int:
        """Returns how many entries of a run wait for a sink, whatever tracker they are for."""
        row = self._database.execute(
            f"SELECT count(*) FROM outbox WHERE {OF_RUN} AND state = 'waiting'", _of_run(sink, run)
        ).fetchone()
        return int(row[0])

    def unfinished(self, sink: str, target: str) -> set[str]:
        """Returns the runs of which entries wait for the tracker ``target``."""
        rows = self._database.execute(
            f"SELECT DISTINCT run FROM outbox WHERE {WAITING} AND sink = ? AND {MEANT}", (sink, target)
        )
        return {row[0] for row in rows}

    def name(self, sink: str, target: str, local: str, remote: str) -> None:
        """Keeps the id that a tracker gave to the run that a program calls ``local``. Safe to repeat."""
        names.name(self._database, NamedRun(sink, target, local, remote))

    def remote(self, sink: str, target: str, local: str) -> str | None:
        """Returns the tracker's id of the run that a program calls ``local``, if the tracker has given one."""
        return names.remote(self._database, sink, target, local)

    def local_names(self, sink: str | None = None) -> list[NamedRun]:
        """Returns the pairs of ids of a sink, or all, in the order in which the trackers gave theirs."""
        return names.listed(self._database, sink)

    def attempts(self, lane: str) -> Attempts:
        """Returns the notes about deliveries to a tracker."""
        return Attempts(self._database, lane)

    def forgive(self) -> None:
        """Does not count the open deliveries of a process that was ended on purpose."""
        attempts.forgive(self._database)

    def dead_letter_poison(self, poison: Poison) -> int:
        """Dead-letters an entry that hangs or kills its sink. Returns 0 when it no longer waits."""
        with transaction(self._database):
            self._database.execute("DELETE FROM outbox_attempts WHERE first = ?1 AND last = ?1", (poison.sequence,))
            values = (poison.reason, poison.sequence)
            return self._database.execute(f"{DEAD_LETTER} AND state = 'waiting'", values).rowcount

    def lease(self, sink: str, holder: str, alive: Callable[[str], bool]) -> bool:
        """Returns True when ``holder`` is the only dispatcher of the sink. A dead holder's lease is taken over."""
        with transaction(self._database):
            row = self._database.execute("SELECT holder FROM outbox_dispatchers WHERE sink = ?", (sink,)).fetchone()
            if row is not None and row[0] != holder and alive(row[0]):
                return False
            self._database.execute("INSERT OR REPLACE INTO outbox_dispatchers VALUES (?, ?)", (sink, holder))
            return True

    def release(self, sink: str, holder: str) -> None:
        """Ends the holder's lease, if it has it."""
        self._database.execute("DELETE FROM outbox_dispatchers WHERE sink = ? AND holder = ?", (sink, holder))

    def _undelivered(self, state: str, keys: Iterable[str] | None, sink: str | None) -> list[tuple[SqlValue, ...]]:
        wanted = "true" if keys is None else "key IN (SELECT value FROM json_each(?2))"
        return self._database.execute(
            f"SELECT sequence, {COVERED}, checksum FROM outbox WHERE outbox.state != 'delivered' AND {state}"
            f" AND coalesce(?1, sink) = sink AND {wanted} ORDER BY sequence",
            (sink,) if keys is None else (sink, json.dumps(list(keys))),
        ).fetchall()

    def _waiting(self, sink: str, target: str, limit: int) -> list[tuple[SqlValue, ...]]:
        return self._database.execute(TAKE, (sink, target, limit)).fetchall()

    def _set_altered_aside(self, altered: Sequence[tuple[SqlValue, ...]]) -> bool:
        """Removes these rows from the queue. False when an index of the table does not match them."""
        try:
            with transaction(self._database):
                rows = [(ALTERED, row[0]) for row in altered]
                changed = self._database.executemany(f"{DEAD_LETTER} AND state = 'waiting'", rows).rowcount
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_CORRUPT:
                raise
            return False
        self.altered += changed
        return changed == len(altered)

    def _mark(self, statement: str, entries: Sequence[Entry], *values: str) -> None:
        rows = [(*values, entry.sequence, entry.key) for entry in entries]
        with transaction(self._database):
            changed = self._database.executemany(statement, rows).rowcount
        if changed < len(rows):  # another process has, or the index by which they were taken is corrupt
            self._database.execute("REINDEX outbox")


def put(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """As ``Outbox.put``, as part of the open transaction of a connection to a database that has ``TABLES``."""
    rows = [(entry.sink, entry.key, entry.run, entry.kind, _to_json(entry), entry.target) for entry in entries]
    connection.executemany(PUT, [(*row, checksum(row)) for row in rows])


def corruption(connection: sqlite3.Connection) -> list[str]:
    """Returns the entries in use that were changed since they were written, one sentence each."""
    rows = connection.execute(
        f"SELECT state, {COVERED}, checksum FROM outbox"
        f" WHERE body != '{SETTLED}' AND reason IS NOT ? ORDER BY sequence",
        (ALTERED,),
    )
    return [
        f"the entry {row[2]} of the outbox for {row[1]} was altered"
        for row in map(tuple, rows)
        if not is_intact(row[1:]) or row[0] not in STATES
    ]


def dead_lettered(connection: sqlite3.Connection) -> list[str]:
    """Returns the changed entries that are not used any more, one sentence each."""
    rows = connection.execute("SELECT sink, key FROM outbox WHERE reason = ? ORDER BY sequence", (ALTERED,))
    return [f"the entry {key} of the outbox for {sink} was altered and was dead-lettered" for sink, key in rows]


def reported_to(connection: sqlite3.Connection, sink: str, run: str) -> list[str | None]:
    """Returns the trackers for which anything of the run was put, as far as keys are kept; None: unknown."""
    rows = connection.execute(f"SELECT DISTINCT target FROM outbox WHERE {OF_RUN} ORDER BY target", _of_run(sink, run))
    return [row[0] for row in rows]


def end_waits(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """Returns the sinks, and their trackers, that have not received the end of a run yet."""
    rows = connection.execute(f"SELECT DISTINCT sink, target FROM outbox WHERE {WAITING} AND kind IN {ENDS}")
    return [(row[0], row[1]) for row in rows]


def _of_run(sink: str, run: str) -> tuple[str, str, str]:
    return sink, f"{run}/", f"{run}0"  # 0 follows the slash


def _to_json(entry: Entry) -> str:
    try:
        return json.dumps(entry.body, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {entry.kind} entry {entry.key!r} for {entry.sink} is not JSON: {error}") from error


def _to_entry(row: Sequence[SqlValue]) -> Entry:
    """Reads an entry from a row. The body is empty when the checksum does not match."""
    sequence, sink, key, run, kind, body, target, _ = row
    content = json.loads(str(body)) if is_intact(row[1:]) else {}
    meant = None if target is None else str(target)
    return Entry(str(key), str(sink), str(run), str(kind), content, int(str(sequence)), meant)
