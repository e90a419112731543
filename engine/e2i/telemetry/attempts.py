"""Remember deliveries that ended without an answer, to find the entry that kills or hangs its sink.

In: what is about to be sent, and how that ended. Out: which entries to send one by one, and which are the cause.

A delivery is noted before it begins. When its process dies, the next dispatcher of the tracker finds the note, and the
entries of that batch are sent one by one; so are those of a batch that hung in three sizes. An entry that was sent
alone when the process died has a strike. One that hung alone is in doubt until the tracker answers for another entry,
the witness, which makes it a strike: in an outage nothing answers, so there are no strikes. An entry with ``STRIKES``
strikes is poison.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence

from msgspec import Struct

from e2i.telemetry.entries import Entry

STRIKES = 3
"""Strikes of one entry, after which it is dead-lettered. Also sizes in which a batch hung, to send it one by one."""
STARTS = ("run.started", "program.started")
MEASURED = ("metric", "param", "warning", "child", "llm", "program.metrics", "program.params", "program.tags")
"""Kinds of entries of one run whose order does not matter."""
TABLE = """
CREATE TABLE IF NOT EXISTS outbox_attempts (
    lane TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, is_open INTEGER NOT NULL DEFAULT 1,
    doubt TEXT CHECK (doubt IN ('hung', 'died')), hung INTEGER NOT NULL DEFAULT 0, died INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, first, last)
) WITHOUT ROWID;
"""
BEGIN = (
    "INSERT INTO outbox_attempts (lane, first, last) VALUES (?, ?, ?)"
    " ON CONFLICT (lane, first, last) DO UPDATE SET is_open = 1"
)
CONFIRM = (
    "UPDATE outbox_attempts SET hung = hung + 1, doubt = NULL WHERE lane = ? AND first = last AND doubt IS NOT NULL"
)
ONE = "lane = ? AND first = ? AND last = ?"


class Poison(Struct, frozen=True):
    """An entry that hangs or kills its sink, by its sequence, and how often it did."""

    sequence: int
    hung: int
    died: int

    @property
    def reason(self) -> str:
        """Returns what happened, for its dead letter."""
        hung = f"its delivery hung {self.hung} times" if self.hung else ""
        died = f"the delivery process died {self.died} times while sending it" if self.died else ""
        return " and ".join(filter(None, (hung, died)))


class Attempts:
    """The notes about the deliveries to one tracker (``lane``)."""

    def __init__(self, connection: sqlite3.Connection, lane: str) -> None:
        self._database = connection
        self._lane = lane

    def recover(self) -> None:
        """Counts deliveries that a dead process left open. Call only while no other dispatcher delivers there."""
        self._write(
            "UPDATE outbox_attempts SET doubt = CASE WHEN first < last THEN 'died' END, died = died + (first = last),"
            " is_open = 0 WHERE lane = ? AND is_open = 1",
            self._lane,
        )

    def begin(self, first: int, last: int) -> None:
        """Notes that the entries between these sequences are being sent."""
        self._write(BEGIN, self._lane, first, last)

    def answered(self, first: int, last: int) -> None:
        """Forgets a delivery that the tracker accepted or refused."""
        self._write(f"DELETE FROM outbox_attempts WHERE {ONE}", self._lane, first, last)

    def failed(self, first: int, last: int, *, hung: bool) -> None:
        """Notes that a delivery failed; ``hung`` when the call took the whole deadline."""
        doubt = ", doubt = 'hung'" if hung else ""
        self._write(f"UPDATE outbox_attempts SET is_open = 0{doubt} WHERE {ONE}", self._lane, first, last)

    def one_by_one(self, sequence: int) -> bool:
        """Returns whether the entry at the head of the queue, and those behind it, are to be sent one by one."""
        self._write(
            "DELETE FROM outbox_attempts WHERE lane = ? AND first < last AND last < ? AND is_open = 0",
            *(self._lane, sequence),
        )
        died, hung = self._database.execute(
            "SELECT count(*) FILTER (WHERE doubt = 'died'), count(*) FILTER (WHERE doubt = 'hung') FROM outbox_attempts"
            " WHERE lane = ? AND first < last AND last >= ?",
            (self._lane, sequence),
        ).fetchone()
        return bool(died > 0 or hung >= STRIKES)

    def in_doubt(self) -> set[int]:
        """Returns the sequences of entries that were sent alone and hung, until the tracker answers for another."""
        rows = self._database.execute(
            "SELECT first FROM outbox_attempts WHERE lane = ? AND first = last AND doubt IS NOT NULL", (self._lane,)
        )
        return {row[0] for row in rows}

    def confirm(self) -> None:
        """Turns doubts into strikes: the tracker has answered for another entry."""
        self._write(CONFIRM, self._lane)

    def acquit(self) -> None:
        """Ends all doubts, since no other entry waits that could be the witness."""
        self._write("UPDATE outbox_attempts SET doubt = NULL WHERE lane = ? AND first = last", self._lane)

    def poison(self) -> list[Poison]:
        """Returns the entries with ``STRIKES`` strikes."""
        rows = self._database.execute(
            "SELECT first, hung, died FROM outbox_attempts WHERE lane = ? AND first = last AND hung + died >= ?"
            " ORDER BY first",
            (self._lane, STRIKES),
        )
        return [Poison(*row) for row in rows]

    def _write(self, statement: str, *values: str | int) -> None:
        """Writes without waiting for the disk: a note matters after the death of a process, not of the machine."""
        self._database.execute("PRAGMA synchronous = NORMAL")
        try:
            self._database.execute(statement, values)
        finally:
            self._database.execute("PRAGMA synchronous = FULL")


def witness(entries: Sequence[Entry], doubtful: Container[int]) -> Entry | None:
    """Returns the first of the waiting entries that can be sent before the doubtful ones: of another run, or a
    measurement of a run whose start is not in doubt.
    """
    unsure = [entry for entry in entries if entry.sequence in doubtful]
    runs, headless = {entry.run for entry in unsure}, {entry.run for entry in unsure if entry.kind in STARTS}
    others = (entry for entry in entries if entry.sequence not in doubtful)
    return next((e for e in others if e.run not in runs or (e.kind in MEASURED and e.run not in headless)), None)


def forgive(connection: sqlite3.Connection) -> None:
    """Does not count the open deliveries of a process that was ended on purpose."""
    connection.execute("UPDATE outbox_attempts SET is_open = 0")
