"""Standard output and standard error that never fail, whether anybody reads them or not.

In: a stream. Out: a stream that can always be written to. When nobody reads any more, the command continues and ends
with the exit code that it would have had. Other reasons, such as a full disk, are reported.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


def patient(stream: TextIO | None) -> TextIO:
    """Returns a stream to which writing never fails. ``failure`` reports afterwards whether something was lost.

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
    """Returns why not all could be written. A reader that went away is no failure."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Patient) else None


class _Patient(io.FileIO):
    """A file that accepts every write. After the first failure the rest is discarded."""

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
