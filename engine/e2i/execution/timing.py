"""Times of one process: they begin with the wall clock and go on with the monotonic one.

So that no duration depends on whether the wall clock was set meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable


def steady(now_ms: Callable[[], int], clock: Callable[[], float]) -> Callable[[], int]:
    """Returns a clock in ms since the epoch, whose differences are those of ``clock``, which counts seconds."""
    started_ms, began = now_ms(), clock()
    return lambda: started_ms + round((clock() - began) * 1000)
