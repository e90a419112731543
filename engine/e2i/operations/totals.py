"""Count the runs of a store for the metrics file: counters that no garbage collection makes smaller.

In: notifications. Out: totals, in a small file of the store that processes change one after another. A file that
cannot be read counts as empty: a counter that starts again is a reset for Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i import compact, regular
from e2i.operations.notification import Notification
from e2i.resilience.lock import exclusive

FILE = "metrics.json"
LOCK = "metrics.lock"
MOST = 16 << 20
"""Limit on the bytes of the file."""


class RunCount(Struct, frozen=True, order=True):
    """Number of runs that ended in one way. ``code``: the first error; empty for none."""

    pipeline: str
    profile: str
    status: str
    code: str
    count: int

    @property
    def labels(self) -> dict[str, str]:
        """Returns everything but the number."""
        return {"pipeline": self.pipeline, "profile": self.profile, "status": self.status, "code": self.code}


class LastEnd(Struct, frozen=True, order=True):
    """The latest end of a pipeline, and its latest success. Times are milliseconds since the epoch."""

    pipeline: str
    profile: str
    ended_ms: int
    seconds: float
    exit_code: int
    succeeded_ms: int | None = None


class Totals(Struct, frozen=True):
    """Everything that is counted. ``bytes``: the size of the store when it was last measured."""

    runs: tuple[RunCount, ...] = ()
    ends: tuple[LastEnd, ...] = ()
    bytes: int | None = None

    def after(self, end: Notification) -> Totals:
        """Returns the totals with one more end of a run."""
        code = end.errors[0].code if end.errors and end.status != "succeeded" else ""
        of = (end.pipeline or "", end.profile)
        key = (*of, end.status, code)
        counts = {(run.pipeline, run.profile, run.status, run.code): run.count for run in self.runs}
        counts[key] = counts.get(key, 0) + 1
        ends = {(one.pipeline, one.profile): one for one in self.ends}
        before = ends[of].succeeded_ms if of in ends else None
        succeeded = end.ended_ms if end.status == "succeeded" else before
        ends[of] = LastEnd(*of, end.ended_ms, end.seconds, end.exit_code, succeeded)
        return replace(
            self,
            runs=tuple(sorted(RunCount(*found, count) for found, count in counts.items())),
            ends=tuple(one for _, one in sorted(ends.items())),
        )


def read(store: Path) -> Totals:
    """Returns the totals of a store."""
    try:
        return compact.loads(regular.read(store / FILE, MOST), Totals)
    except (OSError, ValueError, TypeError):
        return Totals()


def change(store: Path, to: Callable[[Totals], Totals]) -> Totals:
    """Changes the totals of a store and returns them. Raises OSError."""
    with exclusive(store / LOCK):
        found = to(read(store))
        regular.write(store / FILE, compact.dumps(found).encode())
    return found
