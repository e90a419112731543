"""Every code of a problem or of a command's error → what it means. Each stage's codes are in a module of their own."""

from __future__ import annotations

from e2i.check.codes import columns, commands, policy, reading, shape, wiring
from e2i.check.codes.code import Code

__all__ = ["CODES", "Code", "find"]

CODES: dict[str, Code] = {
    code.code: code for stage in (reading, shape, wiring, columns, policy, commands) for code in stage.CODES
}


def find(code: str) -> Code | None:
    """The code's description, or None."""
    return CODES.get(code)
