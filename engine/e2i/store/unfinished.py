"""What a run is to do goes in; the latest run that was to do the same, and did not come to its end, comes out.

A run comes to its end when it succeeds, or when a step of it fails by what the step did. It does not when its process
dies, when it is interrupted, or when all that failed in it are steps whose worker died.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.resilience.checksum import is_intact
from e2i.resilience.processes import process_alive

LOST = "worker-lost"
"""The code of a step whose worker died under it."""
MOST = 20
"""How many of a pipeline's latest runs that did not succeed are looked at, since each has a whole plan to be read."""

CANDIDATES = (
    "SELECT run, status, holder, ended_ms, options FROM"
    " (SELECT * FROM runs WHERE pipeline = ? AND status != 'succeeded' ORDER BY started_ms DESC, rowid DESC LIMIT ?)"
    " WHERE CASE WHEN json_valid(plan) THEN json_extract(plan, '$.digest') END = ?"
)
ROWS = ("SELECT * FROM runs WHERE run = ?", "SELECT * FROM steps WHERE run = ?")
FAILURES = "SELECT error FROM steps WHERE run = ? AND status = 'failed'"


class Unfinished(Struct, frozen=True):
    """A run that can be gone on with, and why it has not come to its end, for people."""

    run: str
    why: str


def find(database: sqlite3.Connection, pipeline: str, plan: str, options: Mapping[str, Any]) -> Unfinished | None:
    """The latest run of the plan with that digest, and of the same options, that did not come to its end and that no
    living process carries out. One whose records were altered is none.
    """
    for run, status, holder, ended_ms, said in database.execute(CANDIDATES, (pipeline, MOST, plan)).fetchall():
        why = _why(database, run, status, holder, ended_ms)
        if why is not None and _is_intact(database, run) and json.loads(said) == options:
            return Unfinished(run, why)
    return None


def _why(database: sqlite3.Connection, run: str, status: str, holder: str, ended_ms: int | None) -> str | None:
    """Why a run did not come to its end; None when it did, or when it goes on."""
    if status == "running":
        return None if process_alive(holder) else f"process {holder.partition(':')[0]}, which carried it out, is gone"
    if status == "interrupted":
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((ended_ms or 0) / 1000))
        return f"it was interrupted at {at}"
    errors = [json.loads(error or "{}") for (error,) in database.execute(FAILURES, (run,))]
    return "a worker died" if errors and all(error.get("code") == LOST for error in errors) else None


def _is_intact(database: sqlite3.Connection, run: str) -> bool:
    return all(is_intact(tuple(row)) for rows in ROWS for row in database.execute(rows, (run,)))
