"""Store Arrow tables on disk. In: Arrow tables, or files. Out: Arrow IPC files and digests, or Arrow tables.

Bytes are hashed while they are written. Readers map the file, so processes that read one table share its memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog import arrow_types
from e2i.catalog.artifacts import Column
from e2i.errors import StepError
from e2i.spec.suggest import few, repeated
from e2i.workers.pieces import Pieces

if TYPE_CHECKING:
    from io import RawIOBase

    import pyarrow as pa
    from typing_extensions import Buffer


def write(table: pa.Table, path: Path) -> tuple[tuple[Column, ...], str]:
    """Write the table as one record batch; return its columns and the file's digest. Raises StepError.

    The file's bytes depend on the content alone, not on chunks, library versions or metadata. Numbers, times and texts
    are written from their chunks, so that a large table needs no memory beside its own.
    """
    import pyarrow as pa

    if twice := repeated(table.column_names):
        raise StepError(f"the table has duplicate column names: {few(twice)}", code="duplicate-column")
    fields = [pa.field(field.name, _storable(field)) for field in table.schema]
    columns, rows = table.columns, table.num_rows
    del table
    pieces = Pieces()
    for index, field in enumerate(fields):
        columns[index] = _combined(columns[index], field, pieces)
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields)) if fields else pa.table({})
    with path.open("wb", buffering=0) as file:
        hashing = _Hashing(file, pieces)
        with pa.PythonFile(hashing, "w") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(rows, 1))
    pieces.check()
    return tuple(Column(name=field.name, type=str(field.type)) for field in fields), hashing.digest


def write_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path
) -> tuple[tuple[Column, ...], int, str]:
    """Write a table batch by batch, so that it need not fit in memory; return its columns, rows and digest.

    The batches have the types of the schema, or types that can be cast to them without a loss. Raises StepError. A
    table of one batch has the bytes that ``write`` gives it.
    """
    import pyarrow as pa

    if twice := repeated(schema.names):
        raise StepError(f"the table has duplicate column names: {few(twice)}", code="duplicate-column")
    fields = [pa.field(field.name, _storable(field)) for field in schema]
    stored = pa.schema(fields)
    rows = 0
    with path.open("wb", buffering=0) as file:
        pieces = Pieces()
        hashing = _Hashing(file, pieces)
        with pa.PythonFile(hashing, "w") as sink, pa.ipc.new_file(sink, stored) as writer:
            for batch in batches:
                columns = [pa.chunked_array([column]) for column in batch.columns]
                whole = [_combined(column, field, pieces) for column, field in zip(columns, fields, strict=True)]
                writer.write_table(pa.Table.from_arrays(whole, schema=stored), max_chunksize=max(batch.num_rows, 1))
                rows += batch.num_rows
            if not rows:
                writer.write_table(stored.empty_table(), max_chunksize=1)
        pieces.check()
    return tuple(Column(name=field.name, type=str(field.type)) for field in fields), rows, hashing.digest


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the file's table, mapped into memory, with only ``columns`` if set. Raises StepError for others."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    if columns is None:
        return table
    require(table.column_names, columns)
    return table.select(list(columns))


def require(present: Sequence[str], columns: Sequence[str]) -> None:
    """Raise StepError naming the columns that are not present."""
    absent = [name for name in columns if name not in present]
    if absent:
        raise StepError(
            f"the table has no column {', '.join(map(repr, absent))}; columns: {', '.join(present)}",
            code="unknown-column",
        )


def _storable(field: Any) -> Any:
    """Return the type that a column is stored as: its own, in the encoding that all readers support.

    Raises StepError for types that have no place in a table.
    """
    kind = arrow_types.storable(field.type)
    if kind is None:
        raise StepError(
            f"a table cannot be stored: column {field.name!r} has the Arrow type {field.type}",
            code="bad-table",
            hint="convert the column to numbers, texts, times, lists or structs",
        )
    return kind


def _combined(column: Any, field: Any, pieces: Pieces) -> Any:
    """Return the column as one array of the field's type, with zeros where it is null. Raises StepError."""
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(field.type):
            column = _encoded(column, field.type)
        elif column.type != field.type:
            column = column.cast(field.type)
        if (array := pieces.array(column)) is not None:
            return array
        one = column.combine_chunks()
        if isinstance(one, pa.ChunkedArray) or not one.null_count or pa.types.is_null(field.type):
            return one
        return one.take(_positions(len(one)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise StepError(f"a table cannot be stored: column {field.name!r}: {reason}", code="bad-table") from error


def _encoded(column: Any, kind: Any) -> Any:
    """Return a dictionary column with the indices of ``kind``; each value is in its dictionary once, and no null is."""
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary if column.num_chunks else None
    if values is not None and (values.null_count or len(values.unique()) < len(values)):
        column = column.cast(column.type.value_type).dictionary_encode()
    return column.cast(kind)


def _positions(count: int) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.arange(count, dtype=np.int64))


class _Hashing:
    """A file that computes the digest of the written bytes, with the methods that Arrow needs."""

    closed = False

    def __init__(self, file: RawIOBase, pieces: Pieces) -> None:
        self._file = file
        self._pieces = pieces
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, content: Buffer) -> int:
        """Write all of the data, or what stands in its place."""
        size = memoryview(content).nbytes
        for piece in self._pieces.take(content) or (content,):
            rest = memoryview(piece).cast("B")
            self._hash.update(rest)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        return size

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True
