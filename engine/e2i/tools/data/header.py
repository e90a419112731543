"""Read the columns of a data file without its rows. In: parameters, the workspace's files. Out: names and types.

A CSV file is read with the standard library alone, by the function that the run uses. For other formats pyarrow is used
if it is installed.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from msgspec import Struct

from e2i.catalog import arrow_types
from e2i.catalog.files import Files, charge
from e2i.tools.data import files as reading
from e2i.tools.data import formats, many, partitions
from e2i.tools.data.unclear import UnclearError

FOOTER = 12 << 20
"""Largest footer of a Parquet or Arrow file that is read here, in bytes. It takes many times that in memory."""
MOST_ELEMENTS = 100_000
"""Largest number of elements in a Parquet file's schema that is read here."""


class Header(Struct, frozen=True):
    """What a file's first or last bytes tell: each column and its Arrow type (None: only known in a run), and notes.

    ``hidden``: columns that are read only when asked for.
    """

    columns: Mapping[str, str | None]
    names: Sequence[str]
    """The names in order; one may occur twice."""
    hidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NoFileError(Exception):
    """The file does not exist; ``near`` are the paths of the files in the same folder."""

    def __init__(self, near: Sequence[str]) -> None:
        super().__init__()
        self.near = tuple(near)


def read(given: Mapping[str, Any], files: Files) -> Header | None:
    """Return the columns; None when they are only known in a run. Of many files, the first one tells.

    Raises NoFileError, and UnclearError for a text file that the run would refuse.
    """
    names = files.matching(given["path"])
    found = _read({**given, "path": names[0]}, files)
    if found is None or given["partitions"] is None or names[0] == given["path"]:
        return found
    keys = many.key_types(partitions.read(names), formats.declared(given))
    return Header({**found.columns, **keys}, [*found.names, *keys], found.hidden, found.notes)


def _read(given: Mapping[str, Any], files: Files) -> Header | None:
    path = given["path"]
    kind = given["format"] or formats.of(path)
    try:
        file = files.open(path)
        if file is None:
            folder, slash, _ = path.rpartition("/")
            raise NoFileError([f"{folder}{slash}{name}" for name in files.names(folder or ".")])
        with file:
            if kind in ("csv", "tsv"):
                return _text(file, given, kind)
            return _arrow(file, kind) if kind in ("parquet", "feather") else None
    except IsADirectoryError:
        hint = "names that begin with a dot or an underscore are not data"
        raise UnclearError(f"the folder {path} has no file with data", hint, code="no-such-file") from None
    except (OSError, EOFError, zlib.error, csv.Error):  # also a field longer than csv reads
        return None


def _text(file: BinaryIO, given: Mapping[str, Any], kind: str) -> Header:
    """Return the header of a text file. Types depend on all rows, but a word makes a column one of texts."""
    path = given["path"]
    source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if path.lower().endswith(".gz") else file
    counted = _Counted(source)
    layout = reading.layout_of(counted, given, kind, path)
    charge(file, counted.count)
    names = layout.known
    texts = () if given["rows"] is not None else layout.texts  # the rows that are read may have no words
    types = {name: "string" if name in texts and name not in formats.declared(given) else None for name in names}
    return Header(types, names, layout.names[: layout.row_names], layout.notes)


class _Counted:
    """A file that counts the bytes that are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


def _arrow(file: BinaryIO, kind: str) -> Header | None:
    """Return the columns of a typed file, with the types that they are stored as."""
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
    types = {field.name: arrow_types.storable(field.type) for field in schema}
    return Header({name: kind and str(kind) for name, kind in types.items()}, schema.names)


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
