"""The values of a row go in; a short digest comes out, by which a row that was altered on disk is noticed.

It tells of bits that flipped and of rows edited by hand. It is no signature: who can write the file can checksum a row
anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

SqlValue = str | int | float | bytes | None


def checksum(values: Sequence[SqlValue]) -> str:
    """The digest of a row's values, types included; equal on every version of Python."""
    return hashlib.blake2b(ascii(tuple(values)).encode(), digest_size=8).hexdigest()


legible: Callable[[bytes], str] = partial(str, encoding="utf-8", errors="replace")
"""A column's text, whatever bits have flipped in it: that it is corrupt is for the checksum of its row to say."""


def is_intact(row: Sequence[SqlValue]) -> bool:
    """Whether a row, whose last value is its checksum, is as it was written."""
    values = tuple(row)
    return values[-1] == checksum(values[:-1])
