"""Keep what finished steps took, in the SQLite file of a store, for estimates.

In: rows. Out: rows, newest first. The table is created by the first row; a store without it has none. The rows are
hints: nothing but estimates depends on them.
"""

from __future__ import annotations

import json
import sqlite3

from msgspec import Struct

TABLE = (
    "CREATE TABLE IF NOT EXISTS usage (run TEXT NOT NULL, step TEXT NOT NULL, pipeline TEXT NOT NULL,"
    " uses TEXT NOT NULL, variant TEXT NOT NULL, cells INTEGER NOT NULL, amount INTEGER NOT NULL,"
    " outputs TEXT NOT NULL, seconds REAL NOT NULL, memory INTEGER, ended_ms INTEGER NOT NULL,"
    " PRIMARY KEY (run, step)) WITHOUT ROWID"
)
HAS_TABLE = "SELECT count(*) FROM sqlite_master WHERE name = 'usage'"
COLUMNS = "run, step, pipeline, uses, variant, cells, amount, outputs, seconds, memory, ended_ms"
PUT = f"INSERT OR REPLACE INTO usage ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEWEST = f"SELECT {COLUMNS} FROM usage ORDER BY ended_ms DESC, run, step LIMIT ?"
SPANS = (
    "SELECT run, (ended_ms - started_ms) / 1000.0 FROM runs WHERE pipeline = ? AND status = 'succeeded'"
    " AND typeof(started_ms) = 'integer' AND typeof(ended_ms) = 'integer' ORDER BY started_ms DESC LIMIT ?"
)
MOST = 20_000
"""Rows that are read; older ones say less."""
MOST_RUNS = 20


class Usage(Struct, frozen=True):
    """What one finished step took."""

    run: str
    step: str
    pipeline: str
    uses: str
    variant: str
    cells: int
    amount: int
    outputs: dict[str, int]
    """The cells of each table among the outputs, by its path."""
    seconds: float
    memory: int | None
    """Peak memory in bytes, beyond what the worker used before; None: not measured."""
    ended_ms: int

    @property
    def size(self) -> int:
        return max(self.cells, 1) * max(self.amount, 1)


class UsageTable:
    """The usage rows of one store. Writes happen inside a transaction of the caller."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, row: Usage) -> None:
        """Adds a row."""
        self._database.execute(TABLE)
        outputs = json.dumps(row.outputs, separators=(",", ":"))
        first = (row.run, row.step, row.pipeline, row.uses, row.variant, row.cells, row.amount, outputs)
        self._database.execute(PUT, (*first, row.seconds, row.memory, row.ended_ms))

    def rows(self) -> list[Usage]:
        """Returns the newest rows, newest first."""
        if not self._database.execute(HAS_TABLE).fetchone()[0]:
            return []
        found = self._database.execute(NEWEST, (MOST,)).fetchall()
        names = Usage.__struct_fields__
        return [Usage(**{**dict(zip(names, row, strict=True)), "outputs": json.loads(row["outputs"])}) for row in found]

    def spans(self, pipeline: str) -> dict[str, float]:
        """Returns the seconds of the newest runs of a pipeline that succeeded."""
        rows = self._database.execute(SPANS, (pipeline, MOST_RUNS)).fetchall()
        return {row[0]: row[1] for row in rows}

    def delete(self, run: str) -> None:
        """Deletes the rows of a run."""
        if self._database.execute(HAS_TABLE).fetchone()[0]:
            self._database.execute("DELETE FROM usage WHERE run = ?", (run,))
