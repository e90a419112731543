"""Converts amounts of memory such as ``512MB`` or ``1.5GiB`` to bytes and back.

In: text or bytes. Out: bytes or text. ``ValueError`` for text that is not an amount.
"""

from __future__ import annotations

import re

UNITS = {
    "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
"""Bytes in each unit."""


def parse(text: str) -> int:
    """Returns the bytes of an amount: one number with one unit. Raises ValueError that describes the format."""
    match = _SIZE.fullmatch(text) if len(text) <= 40 else None
    if match is None:
        given = text if len(text) <= 40 else text[:39] + "…"
        raise ValueError(
            f'"{given}" is not an amount of memory: a number with a unit (B, KB, MB, GB, TB, KiB, MiB, GiB, TiB),'
            " such as 512MB or 2GB"
        )
    return round(float(match["number"]) * UNITS[match["unit"]])


def text(size: float) -> str:
    """Returns the amount as text in decimal units: 1_500_000_000 → ``1.5GB``."""
    unit = next((unit for unit in ("TB", "GB", "MB", "KB") if abs(size) >= UNITS[unit]), "B")
    return f"{size / UNITS[unit]:.3g}{unit}" if abs(size) < 999.5 * UNITS[unit] else f"{size / UNITS[unit]:.0f}{unit}"


_SIZE = re.compile(rf"(?P<number>[0-9]{{1,12}}(?:\.[0-9]{{1,9}})?)(?P<unit>{'|'.join(UNITS)})")
