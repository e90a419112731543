"""Names of files for the ids of steps: readable, and never the same for two ids, whatever the disk takes for equal."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.,#\[\]-]{0,99}")
"""Ids that are file names as they are. Upper case is none: some disks take it for lower case."""
_OTHER = re.compile(r"[^A-Za-z0-9_.,#\[\]-]")


def of_step(step: str) -> str:
    """The beginning of the name of the step's files: its id, or what of it can be read and a digest of all of it."""
    if _PLAIN.fullmatch(step):
        return step
    return f"{_OTHER.sub('_', step)[:80]}~{hashlib.sha256(step.encode()).hexdigest()[:16]}"
