"""Limits of one replica. In: what a caller writes, such as ``{"cpu": "2", "memory": "4Gi"}``. Out: cores and bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from msgspec import Struct

from e2i.errors import StepError

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(Ki|Mi|Gi|Ti|[kMGT]?)B?")
CPU = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)")
LEAST_MEMORY = 64 << 20


class Resources(Struct, frozen=True):
    """Limits of one replica. None: no limit."""

    cores: int | None = None
    """Number of cores, and of threads of the model's library."""
    memory: int | None = None
    """Bytes of private memory."""


def read(given: Mapping[str, object] | None) -> Resources:
    """Return the limits. Raises StepError for a key or a value that is none."""
    if given is None:
        return Resources()
    unknown = sorted(set(given) - {"cpu", "memory"})
    if unknown:
        raise _bad(f"unknown resource {unknown[0]!r}", "set `cpu` and `memory`")
    return Resources(_cores(given.get("cpu")), _bytes(given.get("memory")))


def _cores(given: object) -> int | None:
    if given is None:
        return None
    found = CPU.fullmatch(str(given).strip()) if not isinstance(given, bool) else None
    cores = float(found[1]) / (1000 if found[2] else 1) if found else 0.0
    if not 0 < cores <= 4096:
        raise _bad(f"cpu: {given!r} is no number of cores", 'a number such as "2", or "500m" for half a core')
    return math.ceil(cores)


def _bytes(given: object) -> int | None:
    if given is None:
        return None
    found = MEMORY.fullmatch(str(given).strip()) if not isinstance(given, bool) else None
    amount = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if amount < LEAST_MEMORY:
        raise _bad(f"memory: {given!r} is no amount of memory of a service", 'an amount such as "4Gi" or "512Mi"')
    return amount


def _bad(message: str, hint: str) -> StepError:
    return StepError(message, code="bad-argument", hint=hint)
