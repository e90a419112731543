"""A clock that starts at the wall clock and advances with the monotonic one.

So no duration depends on changes of the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable


def steady(now_ms: Callable[[], int], clock: Callable[[], float]) -> Callable[[], int]:
    """Returns a clock in ms since the epoch that advances with ``clock``, which counts seconds."""
    started_ms, began = now_ms(), clock()
    return lambda: started_ms + round((clock() - began) * 1000)
