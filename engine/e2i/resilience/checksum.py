"""Detect rows that were changed on disk. In: the values of a row. Out: a short digest.

It detects flipped bits and rows edited by hand. It is not a signature: anyone who can write the file can compute a new
checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

SqlValue = str | int | float | bytes | None


def checksum(values: Sequence[SqlValue]) -> str:
    """Returns the digest of a row's values, types included; equal on every version of Python."""
    return hashlib.blake2b(ascii(tuple(values)).encode(), digest_size=8).hexdigest()


legible: Callable[[bytes], str] = partial(str, encoding="utf-8", errors="replace")
"""Decodes a column's text even when it is corrupt: corruption is reported by the checksum of the row."""


def is_intact(row: Sequence[SqlValue]) -> bool:
    """Returns True when a row, whose last value is its checksum, is unchanged."""
    values = tuple(row)
    return values[-1] == checksum(values[:-1])
