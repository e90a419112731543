"""Find the shape that texts have in common, such as ``HCP000123``. In: texts. Out: a regular expression, or none.

A shape is a row of runs: of digits, of capital letters, of small letters, or of one other character. All texts must
have the same runs; only their lengths may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

MOST_RUNS = 12
"""Runs of a shape. Texts with more are prose."""
SHORTEST = 10
"""Number of texts that a shape is taken from."""
CLASSES = {"digit": r"[0-9]", "capital": r"[A-Z]", "small": r"[a-z]"}


def common(texts: Iterable[str]) -> str | None:
    """Return the expression that all texts match; None when they have no shape, or are too few."""
    lengths: list[set[int]] = []
    kinds: tuple[str, ...] | None = None
    count = 0
    for text in texts:
        runs = [(kind, sum(1 for _ in run)) for kind, run in groupby(text, _kind)]
        found = tuple(kind for kind, _ in runs)
        if not runs or len(runs) > MOST_RUNS or kinds not in (None, found) or "other" in found:
            return None
        kinds, count = found, count + 1
        lengths = lengths or [set() for _ in runs]
        for known, (_, length) in zip(lengths, runs, strict=True):
            known.add(length)
    if kinds is None or count < SHORTEST or not set(kinds) & {"digit"}:
        return None
    parts = [_run(kind, known) for kind, known in zip(kinds, lengths, strict=True)]
    return f"^{''.join(parts)}$"


def _kind(character: str) -> str:
    if not character.isascii():
        return "other"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "capital" if character.isupper() else "small"
    return character if character.isprintable() else "other"


def _run(kind: str, lengths: set[int]) -> str:
    """Return the expression of one run. Of different lengths, any from one on is expected: numbers grow."""
    found = CLASSES.get(kind, re.escape(kind))
    if lengths == {1}:
        return found
    return f"{found}{{{min(lengths)}}}" if len(lengths) == 1 else f"{found}+"
