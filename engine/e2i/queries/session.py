"""Opens a DuckDB that reads no file, loads no extension and keeps its settings. In: memory, threads. Out: a connection.

The settings stop most of what a query could do outside its tables. ``e2i.queries.lock`` refuses the rest before.
"""

from __future__ import annotations

import atexit
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import TIMEOUT_MAX, Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PLANNING_SECONDS = 2.0
"""Time limit for one query's check before a run. Most take a millisecond."""
SETTINGS = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


def opened(*, memory: str, threads: int, spill: Path | None) -> Any:
    """Returns a connection to an empty database in memory. It spills to the folder ``spill``, or nowhere."""
    import duckdb

    place = {"temp_directory": str(spill) if spill else "", "max_temp_directory_size": SPILL if spill else "0B"}
    connection = duckdb.connect(":memory:", config={**SETTINGS, **place, "memory_limit": memory, "threads": threads})
    connection.execute("SET TimeZone = 'UTC'; SET Calendar = 'gregorian'; SET lock_configuration = true")
    return connection


SPILL = "50GB"
"""Disk that one query may use for what does not fit in its memory."""


@contextmanager
def planning() -> Iterator[Any]:
    """Yields a connection for checks, whose tables are gone afterwards. A check is interrupted after a time limit.

    Importing and opening DuckDB takes 0.1 seconds, so that a process opens it once.
    """
    cursor = _planner().cursor()
    cursor.begin()
    try:
        with interrupted(cursor, PLANNING_SECONDS):
            yield cursor
    finally:
        cursor.rollback()
        cursor.close()


@contextmanager
def interrupted(connection: Any, seconds: float | None) -> Iterator[None]:
    """Interrupts what the connection computes in the block after a time limit: it then raises InterruptException."""
    if seconds is None:
        yield
        return
    timer = Timer(min(seconds, TIMEOUT_MAX), connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _planner() -> Any:
    atexit.register(_planner.cache_clear)  # otherwise DuckDB reports a leak when the process ends
    return opened(memory="256MB", threads=1, spill=None)
