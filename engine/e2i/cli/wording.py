"""Word numbers for people: ``1 step``, ``16 steps``, ``1,200 entries``."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Returns the number with the noun in the singular or the regular plural."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
