"""Find the latest unfinished run of the same plan, for the same command to resume.

A run is finished when it succeeds, or when one of its steps fails by its own action. It is unfinished when its process
dies, when it is interrupted, or when only steps whose worker died have failed.
"""

from __future__ import annotations

import sqlite3
import time

from msgspec import Struct

from e2i import compact
from e2i.resilience.checksum import is_intact
from e2i.resilience.processes import process_alive
from e2i.store.past import RecordedOptions

LOST = "worker-lost"
"""The error code of a step whose worker died."""
MOST = 20
"""Maximum number of a pipeline's latest unsuccessful runs that are checked. Each has a whole plan to read."""

CANDIDATES = (
    "SELECT run, status, holder, ended_ms, options FROM"
    " (SELECT * FROM runs WHERE pipeline = ? AND status != 'succeeded' ORDER BY started_ms DESC, rowid DESC LIMIT ?)"
    " WHERE CASE WHEN json_valid(plan) THEN json_extract(plan, '$.digest') END = ?"
)
ROWS = ("SELECT * FROM runs WHERE run = ?", "SELECT * FROM steps WHERE run = ?")
FAILURES = (
    "SELECT CASE WHEN json_valid(error) THEN json_extract(error, '$.code') END FROM steps"
    " WHERE run = ? AND status = 'failed'"
)


class Unfinished(Struct, frozen=True):
    """A resumable run, and why it is unfinished, for people."""

    run: str
    why: str


def find(database: sqlite3.Connection, pipeline: str, plan: str, options: RecordedOptions) -> Unfinished | None:
    """Returns the latest unfinished run with that plan digest and the same options, which no living process executes.

    A run whose records were altered is not resumed.
    """
    for run, status, holder, ended_ms, recorded in database.execute(CANDIDATES, (pipeline, MOST, plan)).fetchall():
        why = _why(database, run, status, holder, ended_ms)
        if why is not None and _is_intact(database, run) and compact.loads(recorded, RecordedOptions) == options:
            return Unfinished(run, why)
    return None


def _why(database: sqlite3.Connection, run: str, status: str, holder: str, ended_ms: int | None) -> str | None:
    """Returns why a run is unfinished; None when it is finished or still running."""
    if status == "running":
        return None if process_alive(holder) else f"its process {holder.partition(':')[0]} has exited"
    if status == "interrupted":
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((ended_ms or 0) / 1000))
        return f"it was interrupted at {at}"
    codes = {code for (code,) in database.execute(FAILURES, (run,))}
    return "a worker died" if codes == {LOST} else None


def _is_intact(database: sqlite3.Connection, run: str) -> bool:
    return all(is_intact(tuple(row)) for rows in ROWS for row in database.execute(rows, (run,)))
