"""File names for step ids: readable, and unique on every file system."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.,#\[\]-]{0,99}")
"""Ids that are used as file names. Upper case is excluded: some disks do not distinguish it from lower case."""
_OTHER = re.compile(r"[^A-Za-z0-9_.,#\[\]-]")


def of_step(step: str) -> str:
    """Returns the stem of the step's files: its id, or its readable characters and a digest of the whole id."""
    if _PLAIN.fullmatch(step):
        return step
    return f"{_OTHER.sub('_', step)[:80]}~{hashlib.sha256(step.encode()).hexdigest()[:16]}"
