"""Keep the rows of a view as a folder of files to which rows are appended. In: rows. Out: all rows, oldest first.

Files are never changed. ``FIRST-LAST-DIGEST.parquet`` holds the rows of the appends FIRST to LAST; ``schema.parquet``
holds no rows, and the type of each column. Only the holder of the project's lock appends; reading needs no lock. Many
small files are merged into one, and then removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from e2i.tools.feast.repository import replacing

NAME = re.compile(r"(\d{8})-(\d{8})-([0-9a-f]{16})\.parquet")
SCHEMA = "schema.parquet"
MOST = 64
"""Files of a folder from which they are merged."""
TRIES = 10
"""Times that a folder is listed again because files were merged meanwhile."""


class Part(Struct, frozen=True, order=True):
    """One file, and the appends whose rows it holds."""

    first: int
    last: int
    digest: str
    path: Path


def declare(folder: Path, schema: pa.Schema) -> None:
    """Set the types of all columns."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SCHEMA) as file:
        pq.write_table(schema.empty_table(), file)


def append(folder: Path, table: pa.Table) -> None:
    """Add rows. Rows that equal those of the last append are not added again: it was tried before."""
    known = listed(folder)
    digest = _digest(table)
    if known and known[-1].first == known[-1].last and known[-1].digest == digest:
        return
    number = known[-1].last + 1 if known else 1
    _write(folder, number, number, digest, table)
    if len(known) + 1 >= MOST:
        _merge(folder)


def read(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the columns, all if None; a column that is newer than a row is null there."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):  # a file was merged into another since the folder was listed
            schema = pq.read_schema(folder / SCHEMA)
            if columns is not None:
                schema = pa.schema([schema.field(name) for name in columns])
            tables = [_aligned(part.path, schema) for part in listed(folder)]
            return pa.concat_tables([schema.empty_table(), *tables])
    raise FileNotFoundError(f"{folder} changes all the time")


def listed(folder: Path) -> list[Part]:
    """Return the files, oldest first, without those that are merged into another."""
    found = [
        Part(int(match[1]), int(match[2]), match[3], path)
        for path in folder.iterdir()
        if (match := NAME.fullmatch(path.name))
    ]
    kept: list[Part] = []
    for part in sorted(found, key=lambda part: (part.first, -part.last)):
        if not kept or part.last > kept[-1].last:
            kept.append(part)
    return kept


def _merge(folder: Path) -> None:
    known = listed(folder)
    table = read(folder)
    _write(folder, known[0].first, known[-1].last, _digest(table), table)
    for part in known:
        part.path.unlink()


def _write(folder: Path, first: int, last: int, digest: str, table: pa.Table) -> None:
    with replacing(folder / f"{first:08}-{last:08}-{digest}.parquet") as file:
        pq.write_table(table, file, compression="zstd")


def _aligned(path: Path, schema: pa.Schema) -> pa.Table:
    """Return the rows of a file with these columns, null where the file has none."""
    present = set(pq.read_schema(path).names)
    found = pq.read_table(path, columns=[name for name in schema.names if name in present])
    columns = [found[field.name] if field.name in present else pa.nulls(found.num_rows, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]
