"""What a durable step cannot cost less than, measured here and now: seconds of a commit, and of a call to a worker."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

TIMES = 300


@dataclass(frozen=True, slots=True)
class Floors:
    """Median seconds each."""

    commit: float
    """One row, one SQLite commit: write-ahead log, synchronous=FULL."""
    group: float
    """32 rows in one such commit."""
    call: float
    """One call to a process of a pool that is warm, and its answer."""

    def to_json(self) -> dict[str, float]:
        return {name: round(value * 1000, 4) for name, value in asdict(self).items()}


def measure(folder: Path) -> Floors:
    """The floors, on the disk that ``folder`` is on."""
    with contextlib.closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(
            "CREATE TABLE steps (run TEXT, step TEXT, outputs TEXT, PRIMARY KEY (run, step)) WITHOUT ROWID"
        )
        numbers = iter(range(10**9))

        def commit(rows: int) -> None:
            database.execute("BEGIN IMMEDIATE")
            for _ in range(rows):
                database.execute(
                    "INSERT INTO steps VALUES ('run', ?, ?)", (f"step-{next(numbers)}", '{"value":1}' * 20)
                )
            database.execute("COMMIT")

        one, group = _median(lambda: commit(1)), _median(lambda: commit(32))
    with ProcessPoolExecutor(1) as pool:
        pool.submit(_nothing, {}).result()
        return Floors(one, group, _median(lambda: pool.submit(_nothing, {"uses": "debug.sleep"}).result()))


def median(found: Sequence[Floors]) -> Floors:
    """The median of each."""
    return Floors(*(statistics.median(values) for values in zip(*map(astuple, found), strict=True)))


def _nothing(call: dict[str, str]) -> dict[str, str]:
    return call


def _median(action: Callable[[], object]) -> float:
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return statistics.median(found)
