"""Wait for the turn of a run in its store, before the run is planned.

In: a store, the limit on runs at a time. Out: a place, which is given back at the end, or by the system when the
process dies. A run that a step of another run has started shares the place of that run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from e2i.errors import E2IError, Exit
from e2i.execution.events import Listener, RunWaiting
from e2i.store import ownership
from e2i.store.database import FILE, store_error
from e2i.store.queue import Queue, Reservation, holds_upstream

RUNS = "runs"
LOOK = 0.1
"""Seconds between looks."""


class RunLimit(E2IError):
    """Raised when a store already executes as many runs as it may, and the caller does not want to wait."""

    exit_code = Exit.UNAVAILABLE


@contextlib.contextmanager
def taken(
    store: Path,
    limit: int | None,
    listen: Listener,
    *,
    wait: bool = True,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Iterator[Reservation | None]:
    """Holds a place for a run; None for a run inside another one. Raises RunLimit, StoreError, and Refused.

    ``listen`` receives a ``RunWaiting`` whenever what the run waits for has changed.
    """
    ownership.check(store)
    queue = Queue(store, RUNS)
    try:
        ownership.create(store)
    except OSError as error:
        raise store_error(error, store / FILE) from error
    reservation = None if holds_upstream(queue) else queue.enter(1)
    try:
        if reservation is not None:
            _wait(reservation, limit, listen, wait=wait, sleep=sleep, now=now)
        yield reservation
    finally:
        if reservation is not None:
            with contextlib.suppress(OSError):  # the end of this process gives it back too
                reservation.leave()


def _wait(
    reservation: Reservation,
    limit: int | None,
    listen: Listener,
    *,
    wait: bool,
    sleep: Callable[[float], None],
    now: Callable[[], float],
) -> None:
    """Returns when the place is granted."""
    seen: tuple[int, tuple[str, ...]] | None = None
    while (waiting := reservation.advance(limit)) is not None:
        held = tuple(place.who for place in waiting.held)
        if not wait:
            raise RunLimit(
                f"the store executes as many runs at a time as `max_runs: {limit}` allows: {', '.join(held)}"
                + (f"; {len(waiting.ahead)} more wait" if waiting.ahead else ""),
                code="run-limit",
                hint="run it later, or without --no-wait: then it waits for its turn",
            )
        if seen != (found := (len(waiting.ahead) + 1, held)):
            seen = found
            runs = tuple(place.run for place in waiting.held if place.run)
            processes = tuple(int(place.holder.partition(":")[0]) for place in waiting.held)
            listen(RunWaiting(run="", at=now(), position=found[0], limit=limit or 0, runs=runs, processes=processes))
        sleep(LOOK)
