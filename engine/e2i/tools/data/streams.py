"""Open text files as pyarrow reads them: decompressed, in UTF-8, from the first row on, without comments.

In: a path, a layout. Out: streams of bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.tools.data.dialect import Layout

BOM_SIZE = 3
BLOCK = 1 << 20


@contextmanager
def rows_of(path: Path, layout: Layout) -> Iterator[pa.NativeFile]:
    """Yield the file's rows as UTF-8. Reading raises UnicodeDecodeError where the file has another encoding."""
    import pyarrow as pa

    with pa.input_stream(str(path), compression="gzip" if is_gzip(path) else None) as raw:
        stream, skipped = raw, layout.start
        if layout.encoding == "utf-8-sig":
            skipped += BOM_SIZE
        elif layout.encoding != "utf-8":
            stream = pa.transcoding_input_stream(raw, layout.encoding, "utf-8")
        while skipped:
            skipped -= len(stream.read(min(skipped, BLOCK)))
        if layout.comment:
            stream = pa.PythonFile(_Uncommented(stream, layout.comment.encode(), (layout.quote or "").encode()), "r")
        yield stream


def is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def binary(path: Path) -> BinaryIO:
    """Return the file's bytes, decompressed."""
    import gzip

    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # type: ignore[return-value]  # both read bytes


def text_rows(path: Path, layout: Layout) -> io.TextIOWrapper:
    """Return the file's rows as text, comments included, for Python's csv."""
    file = io.TextIOWrapper(binary(path), encoding=layout.encoding, newline="")
    skipped = layout.start
    while skipped:
        text = file.read(min(skipped, BLOCK) if skipped > BLOCK else 1)
        skipped -= len(text.encode())
    return file


class _Uncommented:
    """A stream without the lines that begin with a mark outside quotes."""

    closed = False

    def __init__(self, stream: Any, mark: bytes, quote: bytes) -> None:
        self._lines = io.BufferedReader(_Raw(stream), BLOCK)
        self._mark = mark
        self._quote = quote
        self._open = False

    def read(self, size: int = -1) -> bytes:
        kept: list[bytes] = []
        length = 0
        while length < (size if size >= 0 else BLOCK):
            line = self._lines.readline()
            if not line:
                break
            if not self._open and line.startswith(self._mark):
                continue
            if self._quote and line.count(self._quote) % 2:
                self._open = not self._open
            kept.append(line)
            length += len(line)
        return b"".join(kept)

    def close(self) -> None:
        self.closed = True


class _Raw(io.RawIOBase):
    """A pyarrow stream as Python's io reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: bytes = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
