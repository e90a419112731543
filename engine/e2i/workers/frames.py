"""Store tables on disk. In: pandas frames, or files. Out: Arrow IPC files and digests, or frames and column types.

Reading avoids copies where pandas allows. Bytes are hashed while they are written. Readers map the file, so processes
that read one table share its memory.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Column
from e2i.errors import StepError

if TYPE_CHECKING:
    from io import RawIOBase

    import pandas as pd
    from typing_extensions import Buffer


def write(frame: pd.DataFrame, path: Path) -> tuple[tuple[Column, ...], str]:
    """Write the frame without its index; return its columns and the file's digest. Timestamps become microseconds.

    The file's bytes depend on the content alone, not on library versions or index metadata.
    """
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise StepError(f"the table has duplicate column names: {', '.join(twice)}", code="duplicate-column")
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StepError(
            f"a table cannot be stored: {error}", code="bad-table", hint="use values of one type in every column"
        ) from error
    table = table.rename_columns(names).cast(_portable(table.schema.with_metadata(None)), safe=False).combine_chunks()
    with path.open("wb", buffering=0) as file:
        hashing = _Hashing(file)
        with pa.PythonFile(hashing, "w") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return tuple(Column(name=field.name, type=str(field.type)) for field in table.schema), hashing.digest


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the file's rows, with only ``columns`` if set. Raises StepError when one does not exist.

    Columns of numbers and timestamps without gaps are the mapped file itself and cannot be written to. Texts, booleans
    and columns with gaps are copies.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    if columns is not None:
        absent = [name for name in columns if name not in table.column_names]
        if absent:
            raise StepError(
                f"the table has no column {', '.join(map(repr, absent))}; columns: {', '.join(table.column_names)}",
                code="unknown-column",
            )
        table = table.select(list(columns))
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)  # consolidating columns would copy them
    return frame


class FrameCache:
    """Cache of the last few frames that this process read or wrote."""

    def __init__(self, limit_bytes: int = 512 << 20) -> None:
        self._limit = limit_bytes
        self._frames: OrderedDict[str, tuple[pd.DataFrame, int]] = OrderedDict()

    def get(self, digest: str) -> pd.DataFrame | None:
        if digest not in self._frames:
            return None
        self._frames.move_to_end(digest)
        return self._frames[digest][0]

    def put(self, digest: str, frame: pd.DataFrame) -> None:
        self._frames[digest] = (frame, int(frame.memory_usage(index=False).sum()))
        self._frames.move_to_end(digest)
        while len(self._frames) > 1 and sum(size for _, size in self._frames.values()) > self._limit:
            self._frames.popitem(last=False)


class _Hashing:
    """A file that computes the digest of the written bytes, with the methods that Arrow needs."""

    closed = False

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, content: Buffer) -> int:
        """Write all of the data."""
        rest = memoryview(content).cast("B")
        self._hash.update(rest)
        size = len(rest)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        return size

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def _portable(schema: Any) -> Any:
    """Convert columns to types that all readers support: no nanoseconds, dictionaries or large strings."""
    import pyarrow as pa

    def portable(kind: Any) -> Any:
        if pa.types.is_timestamp(kind):
            return pa.timestamp("us", tz=kind.tz)
        if pa.types.is_duration(kind):
            return pa.duration("us")
        if pa.types.is_dictionary(kind):
            return portable(kind.value_type)
        if pa.types.is_large_string(kind):
            return pa.string()
        return kind

    return pa.schema([pa.field(str(f.name), portable(f.type)) for f in schema])
