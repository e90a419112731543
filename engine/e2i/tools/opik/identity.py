"""Derive ids of traces and spans from names. In: names of runs and steps. Out: ids, always equal for equal names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID


def uuid7(at_ms: int, *parts: str) -> str:
    """Return a UUID of version 7 (RFC 9562): its time is ``at_ms`` (since the epoch), the rest hashes the parts."""
    octets = bytearray(at_ms.to_bytes(6, "big") + _hash(parts)[:10])
    octets[6] = 0x70 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    return str(UUID(bytes=bytes(octets)))


def trace_id(run: str) -> str:
    """Return the trace id of a run. Its time is the start of the run's name, so that traces sort like runs."""
    return uuid7(_named_ms(run), "trace", run)


def span_id(run: str, *path: str) -> str:
    """Return the span id of something within a run, named by its path, such as a step's id and a trial's name."""
    return uuid7(_named_ms(run), "span", run, *path)


def adopted(given: str, kind: str) -> str:
    """Return the Opik id for an id made elsewhere. ``kind`` is ``trace`` or ``span``.

    A UUID of version 7 is kept. Opik accepts no others, so any other text is mapped to one, the same always; a run's id
    is mapped to the id of its trace.
    """
    try:
        known = UUID(given)
    except ValueError:
        known = None
    if known is not None and known.version == 7:
        return str(known)
    return trace_id(given) if kind == "trace" else uuid7(_named_ms(given), kind, given)


def is_sampled(trace: str, rate: float) -> bool:
    """Return True when the trace of that id is in the kept fraction ``rate`` (0 to 1). Depends on the id only."""
    return int.from_bytes(_hash(("sample", trace))[:8], "big") < rate * 2**64


def _named_ms(run: str) -> int:
    """Return the UTC time in a name like ``20261122-231500-a1b2c3``, in milliseconds since the epoch; 0 without one."""
    try:
        named = datetime.strptime(run[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return max(0, int(named.timestamp() * 1000))


def _hash(parts: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()
