"""Read the columns of a data file without its rows. In: a path, the workspace's files. Out: names and types.

A CSV file is read with the standard library alone. For other formats pyarrow is used if it is installed.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from e2i.catalog.files import Files, charge
from e2i.tools.data.files import SUFFIXES

CHUNK = 1 << 16
"""Bytes of a CSV file to read first."""
LONGEST = 1 << 20
"""Largest first row of a CSV file that is read here, in bytes."""
FOOTER = 12 << 20
"""Largest footer of a Parquet or Arrow file that is read here, in bytes. It takes many times that in memory."""
MOST_ELEMENTS = 100_000
"""Largest number of elements in a Parquet file's schema that is read here."""
KEPT = {"double": "double", "string": "string", "large_string": "string"}
"""Arrow types that do not depend on the values. Integer columns, in contrast, become floats when a null is present."""
Header = list[tuple[str, str | None]]


class NoFileError(Exception):
    """The file does not exist; ``near`` are the paths of the files in the same folder."""

    def __init__(self, near: Sequence[str]) -> None:
        super().__init__()
        self.near = tuple(near)


def read(path: str, kind: str | None, files: Files) -> Header | None:
    """Return each column and its Arrow type, where known; None when the file cannot be read. Raises NoFileError."""
    kind = kind or next((kind for suffix, kind in SUFFIXES.items() if path.lower().endswith(suffix)), None)
    try:
        file = files.open(path)
        if file is None:
            folder, slash, _ = path.rpartition("/")
            raise NoFileError([f"{folder}{slash}{name}" for name in files.names(folder or ".")])
        with file:
            if kind == "csv":
                return _csv(file, path)
            return _arrow(file, kind) if kind else None
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error):  # also a field longer than csv reads
        return None


def _csv(file: BinaryIO, path: str) -> Header | None:
    """Return the first non-empty row, without types: types depend on all rows."""
    if path.lower().endswith((".zip", ".bz2", ".xz", ".zst", ".tar")):
        return None
    source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if path.lower().endswith(".gz") else file
    data = b""
    for most in (CHUNK, LONGEST):
        data += source.read(most - len(data))
        if (row := _first_row(data, whole=len(data) < most)) is not None:
            break
    charge(file, len(data))
    return None if row is None else [(name, None) for name in row]


def _first_row(data: bytes, *, whole: bool) -> list[str] | None:
    """Return the first non-empty row, if it is complete. ``whole``: the data are the entire file."""
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    lines = io.StringIO(text, newline="")
    row = next((row for row in csv.reader(lines) if row), None)
    return None if not whole and lines.tell() == len(text) else row


def _arrow(file: BinaryIO, kind: str) -> Header | None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    if not _is_modest(file, kind):
        return None
    try:
        schema: Any = pq.read_schema(file) if kind == "parquet" else pa.ipc.open_file(file).schema
    except (pa.ArrowException, ValueError):
        return None
    return [(field.name, _kept(field.type, pa)) for field in schema]


def _is_modest(file: BinaryIO, kind: str) -> bool:
    """Return True when the footer that describes the columns can be read with little memory."""
    tail = (b"PAR1", 4) if kind == "parquet" else (b"ARROW1", 6)
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - tail[1] - 4))
    end = file.read(4 + tail[1])
    length = int.from_bytes(end[:4], "little")
    if end[4:] != tail[0] or length > size:
        return False
    file.seek(size - len(end) - length)
    start = file.read(16)
    file.seek(0)
    return length <= FOOTER and (kind != "parquet" or _elements(start) <= MOST_ELEMENTS)


def _elements(start: bytes) -> int:
    """Return the number of schema elements, from the first bytes of a Parquet footer; 0 for anything else.

    The footer is in Thrift's compact form: the version as field 1, then the list of elements as field 2.
    """
    position = 1
    while position < len(start) and start[position] & 0x80:
        position += 1
    head = start[position + 1 : position + 3]
    if start[:1] != b"\x15" or head[:1] != b"\x19" or head[1:] != b"\xfc":
        return 0  # a list of up to 14 elements has its length in the type byte
    count = 0
    for shift, byte in enumerate(start[position + 3 : position + 8]):
        count |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            break
    return count


def _kept(kind: Any, pa: Any) -> str | None:
    if pa.types.is_timestamp(kind):
        return str(pa.timestamp("us", tz=kind.tz))
    return KEPT.get(str(kind))
