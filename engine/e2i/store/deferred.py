"""Find the runs whose deferred steps are still to be done.

In: the run store. Out: these runs, oldest first.

A later run of the same pipeline, profile and parameters that has come to the same step takes the place of an earlier
one: a model that was to be registered last week does not replace the one of today.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct

FIND = """
SELECT runs.run, runs.pipeline, runs.profile, runs.status, count(*)
FROM runs JOIN steps ON steps.run = runs.run AND steps.status = 'deferred'
WHERE runs.status != 'running' AND NOT EXISTS (
    SELECT 1 FROM runs AS later JOIN steps AS same ON same.run = later.run AND same.step = steps.step
    WHERE later.pipeline = runs.pipeline AND later.profile = runs.profile AND later.params = runs.params
        AND (later.started_ms, later.run) > (runs.started_ms, runs.run)
        AND same.status IN ('succeeded', 'reused', 'deferred', 'running')
) GROUP BY runs.run ORDER BY runs.started_ms, runs.run
"""


class Deferred(Struct, frozen=True):
    """A run that ended without its deferred steps."""

    run: str
    pipeline: str
    profile: str
    status: str
    """``succeeded``; or ``failed`` or ``interrupted``, for another reason than these steps."""
    steps: int
    """Number of the deferred steps."""


def find(database: sqlite3.Connection) -> list[Deferred]:
    """Returns the runs with deferred steps that no later run has come to."""
    return [Deferred(*row) for row in database.execute(FIND)]
