"""Names of runs and steps go in; the ids of their trace and spans come out, always the same for the same names."""

from __future__ import annotations

import hashlib
from uuid import UUID


def uuid7(at_ms: int, *parts: str) -> str:
    """A UUID of version 7 (RFC 9562): its time is ``at_ms`` (since the epoch), the rest is a hash of the parts."""
    octets = bytearray(at_ms.to_bytes(6, "big") + _hash(parts)[:10])
    octets[6] = 0x70 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    return str(UUID(bytes=bytes(octets)))


def trace_id(run: str, started_ms: int) -> str:
    """The trace of a run that started at ``started_ms``."""
    return uuid7(started_ms, "trace", run)


def span_id(run: str, started_ms: int, *path: str) -> str:
    """The span of something within that run, named by its path, such as a step's id and a trial's name."""
    return uuid7(started_ms, "span", run, *path)


def is_sampled(trace: str, rate: float) -> bool:
    """Whether the trace with that id is among the share ``rate`` (0 to 1) that is kept. Depends on the id only."""
    return int.from_bytes(_hash(("sample", trace))[:8], "big") < rate * 2**64


def _hash(parts: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()
