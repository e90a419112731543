"""Limit the size of what waits in the outbox: record fewer values of metrics while it is full.

In: the bytes that wait, the limit. Out: whether one more value is recorded. Nothing but values of metrics is ever
refused: parameters, trials, models, files, ends of steps and runs are recorded in any case.

While the outbox is full, only the 1st, 2nd, 4th, 8th … value of each series of metrics is recorded. So a single value,
such as a final score, is always kept, and a long series keeps its shape at a cost that hardly grows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from e2i.telemetry.entries import Entry

PAUSE = 0.005
"""Seconds for which a run waits after values that met a full outbox, so that the delivery gets on."""
LONGEST = 1.0
"""Maximum seconds of all these waits that one step can cause."""
SIZE = "length(CAST({0}.body AS BLOB)) + length({0}.key)"
TABLE = f"""
CREATE TABLE IF NOT EXISTS outbox_size (one INTEGER PRIMARY KEY CHECK (one = 1), waiting INTEGER NOT NULL);
INSERT OR IGNORE INTO outbox_size SELECT 1, coalesce(sum({SIZE.format("outbox")}), 0) FROM outbox
    WHERE state = 'waiting';
CREATE TRIGGER IF NOT EXISTS outbox_grows AFTER INSERT ON outbox WHEN new.state = 'waiting'
    BEGIN UPDATE outbox_size SET waiting = waiting + {SIZE.format("new")}; END;
CREATE TRIGGER IF NOT EXISTS outbox_empties AFTER UPDATE OF state ON outbox
    WHEN old.state = 'waiting' AND new.state != 'waiting'
    BEGIN UPDATE outbox_size SET waiting = waiting - ({SIZE.format("old")}); END;
CREATE TRIGGER IF NOT EXISTS outbox_refills AFTER UPDATE OF state ON outbox
    WHEN old.state != 'waiting' AND new.state = 'waiting'
    BEGIN UPDATE outbox_size SET waiting = waiting + {SIZE.format("new")}; END;
CREATE TABLE IF NOT EXISTS outbox_thinned (run TEXT PRIMARY KEY, metrics INTEGER NOT NULL) WITHOUT ROWID;
"""
THINNED = (
    "INSERT INTO outbox_thinned VALUES (?, 1) ON CONFLICT (run) DO UPDATE SET metrics = metrics + excluded.metrics"
)


class Thinned(Struct, frozen=True):
    """How many values of metrics of a run were not recorded."""

    run: str
    metrics: int


class Quota:
    """The limit for one run or program."""

    def __init__(self, limit: int, size: Callable[[], int]) -> None:
        """``limit`` in bytes; ``size`` returns the bytes that wait."""
        self._limit = limit
        self._size = size
        self._met: Counter[tuple[str, str]] = Counter()
        self._pauses: Counter[str] = Counter()
        self._crowded: set[str] = set()
        self.thinned = 0
        """Number of values that were not admitted."""

    def admits(self, step: str, metric: str) -> bool:
        """Returns whether the next value of this series is recorded."""
        if self._size() < self._limit:
            return True
        self._crowded.add(step)
        self._met[step, metric] += 1
        count = self._met[step, metric]
        if count & (count - 1) == 0:  # a power of two
            return True
        self.thinned += 1
        return False

    def pause(self) -> float:
        """Returns the seconds to wait now, because of values that have met a full outbox since the last call."""
        crowded = [step for step in self._crowded if self._pauses[step] < LONGEST / PAUSE]
        self._crowded.clear()
        self._pauses.update(crowded)
        return PAUSE if crowded else 0.0


def admitted(entries: Iterable[Entry], quota: Quota, thin: Callable[[str], None]) -> list[Entry]:
    """Returns a program's entries without the values of metrics that are not recorded; ``thin`` counts each, by run."""
    found: list[Entry] = []
    for entry in entries:
        if entry.kind == "program.metrics":
            values = entry.body["metrics"]
            kept = {name: value for name, value in values.items() if quota.admits(entry.run, name)}
            for _ in range(len(values) - len(kept)):
                thin(entry.run)
            if not kept:
                continue
            if len(kept) < len(values):
                entry = replace(entry, body={**entry.body, "metrics": kept})
        found.append(entry)
    return found


def size(connection: sqlite3.Connection) -> int:
    """Returns the bytes of the waiting entries; 0 in a store of an earlier version that no delivery has opened yet."""
    try:
        row = connection.execute("SELECT waiting FROM outbox_size").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return 0
        raise
    return max(0, int(row[0])) if row else 0


def thin(connection: sqlite3.Connection, run: str) -> None:
    """Counts one value of a run that was not recorded."""
    connection.execute(THINNED, (run,))


def thinned(connection: sqlite3.Connection) -> list[Thinned]:
    """Returns the runs of which values were not recorded, sorted."""
    return [Thinned(*row) for row in connection.execute("SELECT run, metrics FROM outbox_thinned ORDER BY run")]
