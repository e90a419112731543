"""The error of a file that has no reading, or more than one."""

from __future__ import annotations


class UnclearError(Exception):
    """A file that has no reading, or more than one. The hint says what to state."""

    def __init__(self, message: str, hint: str | None = None, code: str = "unreadable-file") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
