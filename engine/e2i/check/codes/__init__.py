"""Every code that a problem can have → what it means. One visible mapping; each stage's codes are in its own module."""

from __future__ import annotations

from e2i.check.codes import columns, policy, reading, shape, wiring
from e2i.check.codes.code import Code

__all__ = ["CODES", "Code", "find"]

CODES: dict[str, Code] = {
    code.code: code for stage in (reading, shape, wiring, columns, policy) for code in stage.CODES
}


def find(code: str) -> Code | None:
    """The code's description, or None."""
    return CODES.get(code)
