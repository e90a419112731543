"""Converts durations such as ``90s``, ``1h30m`` or ``500ms`` to seconds and back.

In: text or seconds. Out: seconds or text; ``ValueError`` for text that is not a duration.
"""

from __future__ import annotations

import re
from functools import lru_cache

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""Seconds in each unit, largest first."""


@lru_cache
def parse(text: str) -> float:
    """Returns the seconds of a duration: one or more ``<number><unit>``, largest unit first, such as ``1h30m``,
    ``1.5s``.

    Raises ValueError that describes the format of a duration.
    """
    match = _DURATION.fullmatch(text) if len(text) <= 100 else None
    if match is None or not text:
        given = text if len(text) <= 40 else text[:39] + "…"
        raise ValueError(f'"{given}" is not a duration: numbers with units (d, h, m, s, ms), such as 30s, 10m or 1h30m')
    # One division for milliseconds: 0.001 has no exact float, so 3 * 0.001 is not 0.003.
    seconds = sum(float(match[unit]) * UNITS[unit] for unit in ("d", "h", "m", "s") if match[unit])
    return seconds + float(match["ms"] or 0) / 1000


def text(seconds: float) -> str:
    """Returns the duration as text, in whole milliseconds: 5400 → ``1h30m``, 0.5 → ``500ms``, 0 → ``0s``.

    Raises ValueError for a negative or infinite number.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{seconds} seconds is not a duration")
    rest = round(seconds * 1000)
    parts = []
    for unit, size in UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,12}}(?:\.[0-9]{{1,9}})?){unit})?" for unit in UNITS))
