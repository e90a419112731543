"""What arrives at the engine from other threads, through one queue: reports, ends of tasks, ends of transfers."""

from __future__ import annotations

from queue import SimpleQueue

from msgspec import Struct

from e2i.cluster.exchange import Sent
from e2i.cluster.messages import Report


class Reported(Struct, frozen=True):
    """A report of a node."""

    report: Report
    body: bytes


class TaskOver(Struct, frozen=True):
    """Dask has ended the task of a call."""

    token: str
    status: str
    """finished, error, cancelled or lost."""
    problem: str


class Moved(Struct, frozen=True):
    """The inputs of a call are sent, or its results have arrived."""

    token: str
    sent: Sent | None = None
    missing: str | None = None
    """Digest of a result that is not in the storage with its bytes."""
    error: BaseException | None = None


Arrivals = SimpleQueue[Reported | TaskOver | Moved]
