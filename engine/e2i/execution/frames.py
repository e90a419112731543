"""Tables on disk: a pandas frame goes in as an Arrow IPC file, and comes back without a copy where pandas allows.

In: frames and files. Out: files, frames and the columns' types.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Column
from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd


def write(frame: pd.DataFrame, path: Path) -> tuple[Column, ...]:
    """Writes the frame (its index is dropped) and returns its columns. Timestamps become microseconds.

    The file's bytes depend on the content alone: no library version or index metadata goes in.
    """
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise StepError(f"a table has two columns of one name: {', '.join(twice)}", code="duplicate-column")
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StepError(
            f"a table cannot be stored: {error}", code="bad-table", hint="give every column values of one type"
        ) from error
    table = table.rename_columns(names).cast(_portable(table.schema.with_metadata(None)), safe=False).combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return tuple(Column(name=field.name, type=str(field.type)) for field in table.schema)


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The file's rows, with only ``columns`` if given. Raises StepError when one does not exist."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    if columns is not None:
        absent = [name for name in columns if name not in table.column_names]
        if absent:
            raise StepError(
                f"the table has no column {', '.join(map(repr, absent))}; it has {', '.join(table.column_names)}",
                code="unknown-column",
            )
        table = table.select(list(columns))
    frame: pd.DataFrame = table.to_pandas()
    return frame


class FrameCache:
    """The last few frames that this process read or wrote, so that the next step need not read them again."""

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


def _portable(schema: Any) -> Any:
    """The same columns without what other readers stumble over: nanoseconds, dictionaries, large strings."""
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
