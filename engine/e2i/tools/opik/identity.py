"""Names of runs and steps go in; the ids of their trace and spans come out, always the same for the same names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID


def uuid7(at_ms: int, *parts: str) -> str:
    """A UUID of version 7 (RFC 9562): its time is ``at_ms`` (since the epoch), the rest is a hash of the parts."""
    octets = bytearray(at_ms.to_bytes(6, "big") + _hash(parts)[:10])
    octets[6] = 0x70 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    return str(UUID(bytes=bytes(octets)))


def trace_id(run: str) -> str:
    """The trace of a run. Its time is the one that the run's name begins with, so that traces sort as runs do."""
    return uuid7(_named_ms(run), "trace", run)


def span_id(run: str, *path: str) -> str:
    """The span of something within a run, named by its path, such as a step's id and a trial's name."""
    return uuid7(_named_ms(run), "span", run, *path)


def is_sampled(trace: str, rate: float) -> bool:
    """Whether the trace with that id is among the share ``rate`` (0 to 1) that is kept. Depends on the id only."""
    return int.from_bytes(_hash(("sample", trace))[:8], "big") < rate * 2**64


def _named_ms(run: str) -> int:
    """The UTC time in a name like ``20261122-231500-a1b2c3``, in milliseconds since the epoch; 0 if it has none."""
    try:
        named = datetime.strptime(run[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return max(0, int(named.timestamp() * 1000))


def _hash(parts: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()
