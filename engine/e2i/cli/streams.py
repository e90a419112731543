"""Standard output and standard error, whoever reads them or not. In: a stream. Out: one that can always be written to.

That nobody reads any more changes nothing about a command: it goes on, and ends with the exit code that it would have
had. What cannot be written for another reason, such as a full disk, is not passed over.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


def patient(stream: TextIO | None) -> TextIO:
    """The stream, to which writing never fails; ``failure`` says afterwards whether something was lost.

    None is a stream that was closed before the process began.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open as long as the process
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Patient(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=bool(stream.line_buffering),
    )


def failure(stream: TextIO) -> str | None:
    """Why not all that was written could be, but for that nobody reads it."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Patient) else None


class _Patient(io.FileIO):
    """A file that takes everything. After the first failure the rest goes nowhere."""

    failure: str | None = None

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = None if isinstance(error, BrokenPipeError) else error.strerror
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)
