"""Reads the tables of test files: CSV, Parquet, Arrow, up to limits.

In: text, or the name of a file. Out: an Arrow table, or a TableError with the place of what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from e2i.errors import Refused, StepError
from e2i.testing.named import NamedFiles

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".pq", ".arrow", ".feather")
MOST_ROWS = 5_000_000
"""Limit on the rows of a file with a table."""
MOST_BYTES = 1 << 30
"""Limit on the bytes of such a table when it is read."""
_TIME = re.compile(r"timestamp\[(?P<unit>s|ms|us|ns)(?:, tz=(?P<zone>.+))?\]")
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")


class TableError(ValueError):
    """A table cannot be made of what a test file says. ``path`` leads to the wrong value, below the table."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


def of_csv(text: bytes, types: Mapping[str, str | None], path: tuple[str | int, ...]) -> pa.Table:
    """Returns the table of a CSV. Raises TableError."""
    import pyarrow as pa
    from pyarrow import csv

    named = {name: kind for name, declared in types.items() if (kind := arrow_type(declared)) is not None}
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the CSV is not UTF-8: byte {error.start + 1:,}"
        raise TableError(message, path, "save the file as UTF-8") from error
    try:
        found = csv.read_csv(
            BytesIO(text.rstrip() + b"\n"),
            convert_options=csv.ConvertOptions(column_types=named, strings_can_be_null=True),
        )
    except (pa.ArrowException, LookupError) as error:
        raise TableError(f"the CSV cannot be read: {str(error)[:160]}", path) from error
    if len(set(found.column_names)) < found.num_columns:
        raise TableError("a name of a column occurs twice", path, "give each column a name of its own")
    return found


def of_file(name: str, files: NamedFiles, types: Mapping[str, str | None]) -> pa.Table:
    """Returns the table in a file. Raises TableError."""
    import pyarrow as pa

    suffix = PurePosixPath(name).suffix
    if suffix not in SUFFIXES:
        raise TableError(f"{name} is no table", ("file",), f"use one of {', '.join(SUFFIXES)}")
    try:
        content = files.read(name)
    except (Refused, StepError) as error:
        raise TableError(error.message, ("file",), error.hint) from error
    if suffix == ".csv":
        return of_csv(content, types, ("file",))
    try:
        table = _of_parquet(content, name) if suffix in (".parquet", ".pq") else _of_arrow(content, name)
        for kind in table.schema.types:
            expect_zone(kind)
        return table
    except TableError:
        raise
    except (OSError, pa.ArrowException, LookupError, ValueError) as error:
        said = str(error).partition("\n")[0][:160]
        raise TableError(f"{name} cannot be read: {said}", ("file",)) from error


def _of_parquet(content: bytes, name: str) -> pa.Table:
    """Reads a Parquet file, unless its metadata has too many rows or bytes."""
    from pyarrow import parquet

    file = parquet.ParquetFile(BytesIO(content))
    facts = file.metadata
    _expect_small(facts.num_rows, name)
    size = sum(facts.row_group(index).total_byte_size for index in range(facts.num_row_groups))
    if size > MOST_BYTES:
        raise TableError(f"{name} has more than {MOST_BYTES:,} bytes when read", ("file",), "take a smaller table")
    return file.read()


def _of_arrow(content: bytes, name: str) -> pa.Table:
    """Reads an Arrow file batch by batch, up to the limits."""
    import pyarrow as pa
    from pyarrow import feather

    if content.startswith(b"FEA1"):  # the old format has no compression: it is as large as its file
        return feather.read_table(BytesIO(content))
    reader = pa.ipc.open_file(BytesIO(content))
    batches, rows, size = [], 0, 0
    for index in range(reader.num_record_batches):
        batches.append(batch := reader.get_batch(index))
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _expect_small(rows, name)
        if size > MOST_BYTES:
            raise TableError(f"{name} has more than {MOST_BYTES:,} bytes when read", ("file",), "take a smaller table")
    table = pa.Table.from_batches(batches, reader.schema)
    table.validate(full=True)  # offsets in the file may lead anywhere
    return table


def _expect_small(rows: int, name: str) -> None:
    if rows > MOST_ROWS:
        raise TableError(f"{name} has more than {MOST_ROWS:,} rows", ("file",), "take a smaller table")


def expect_zone(kind: Any) -> None:
    """Raises ValueError or LookupError for a time zone that does not exist: such values cannot be shown."""
    import pyarrow as pa

    if kind is not None and pa.types.is_timestamp(kind):
        pa.scalar(0, kind).as_py()


def arrow_type(text: str | None) -> Any:
    """Returns the Arrow type that a text describes, as far as fixtures need it. A dictionary is plain text here."""
    import pyarrow as pa

    if text is None:
        return None
    if time := _TIME.fullmatch(text):
        return pa.timestamp(time["unit"], time["zone"])
    if decimal := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if text.startswith("dictionary<values=string"):
        return pa.string()
    try:
        return pa.type_for_alias(text)
    except ValueError:
        return None
