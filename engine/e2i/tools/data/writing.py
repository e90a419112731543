"""Write tables and artifacts as files. In: Arrow tables, stored files and folders. Out: files with fixed bytes.

Equal content gives equal bytes, so that a file is not written again.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.tools.data import nested

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = r"^[=+\-@\t\r]"
"""The beginning of a text that a spreadsheet runs."""
ROWS = 10_000
"""Rows of a table that are turned into JSON at once."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of the files in an archive."""


def table(content: pa.Table, path: Path, kind: str, compression: str, *, escape: bool = False) -> int:
    """Write a table; return how many texts were escaped. Raises StepError naming a column that the format lacks."""
    if kind in ("csv", "tsv"):
        return _text(content, path, "," if kind == "csv" else "\t", escape)
    _WRITERS[kind](content, path, compression)
    return 0


def artifact(stored: Path, path: Path) -> None:
    """Write a stored file as it is, a folder as a ZIP archive."""
    if stored.is_file():
        shutil.copyfile(stored, path)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in sorted(item for item in stored.rglob("*") if item.is_file()):
            entry = zipfile.ZipInfo(item.relative_to(stored).as_posix(), LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, item.read_bytes(), zipfile.ZIP_DEFLATED)


def _text(content: pa.Table, path: Path, separator: str, escape: bool) -> int:
    """Write a CSV file. Null and the empty text are both empty, or ``""`` where the line would be blank."""
    import pyarrow as pa
    import pyarrow.csv as pc

    escaped = 0
    for index, field in enumerate(content.schema):
        column = content.column(index)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if (
            pa.types.is_nested(column.type)
            or pa.types.is_binary(column.type)
            or pa.types.is_fixed_size_binary(field.type)
        ):
            raise _unfit(field, "CSV")
        if escape and pa.types.is_string(column.type):
            column, count = _without_formulas(column)
            escaped += count
        if pa.types.is_duration(column.type) or pa.types.is_float16(column.type):
            column = column.cast(pa.int64() if pa.types.is_duration(column.type) else pa.float32())
        content = content.set_column(index, field.name, column)
    options = pc.WriteOptions(delimiter=separator, quoting_style="needed")
    if hasattr(options, "quoting_header") and not any(
        set(name) & {separator, '"', "\n", "\r"} for name in content.column_names
    ):
        options.quoting_header = "none"  # "needed" quotes every name
    try:
        pc.write_csv(content, path, options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StepError(f"the table cannot be written as CSV: {error}", code="bad-table") from error
    if content.num_columns == 1:
        _fill_blank_lines(path)
    return escaped


def _fill_blank_lines(path: Path) -> None:
    """Write ``""`` in blank lines outside quotes: readers take a blank line for no row."""
    whole = path.with_name(f"{path.name}.blank")
    path.rename(whole)
    quoted = False
    with whole.open("rb") as source, path.open("wb") as target:
        for line in source:
            target.write(b'""\n' if line == b"\n" and not quoted else line)
            quoted ^= line.count(b'"') % 2 == 1
    whole.unlink()


def _without_formulas(column: Any) -> tuple[Any, int]:
    """Return texts with an apostrophe before formulas, and how many there were."""
    import pyarrow.compute as pc

    found = pc.match_substring_regex(column, FORMULA)
    count = pc.sum(found).as_py() or 0
    return (pc.if_else(found, pc.binary_join_element_wise("'", column, ""), column), count) if count else (column, 0)


def _parquet(content: pa.Table, path: Path, compression: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(content, path, compression=compression)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise StepError(f"the table cannot be written as Parquet: {error}", code="bad-table") from error


def _feather(content: pa.Table, path: Path, compression: str) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, content.schema, options=options) as writer:
        writer.write_table(content)


def _json_lines(content: pa.Table, path: Path, compression: str) -> None:
    with path.open("wb") as file:
        for row in _objects(content):
            file.write(row + b"\n")


def _json(content: pa.Table, path: Path, compression: str) -> None:
    with path.open("wb") as file:
        file.write(b"[")
        for index, row in enumerate(_objects(content)):
            file.write(b"\n" if index == 0 else b",\n")
            file.write(row)
        file.write(b"\n]\n")


def _objects(content: pa.Table) -> Any:
    """Yield each row as a JSON object. Times are ISO 8601 texts, decimals are texts, NaN is null."""
    import msgspec
    import pyarrow as pa

    columns = []
    for field, column in zip(content.schema, content.columns, strict=True):
        if pa.types.is_binary(field.type) or pa.types.is_fixed_size_binary(field.type):
            raise _unfit(field, "JSON")
        if _has_infinity(column):
            raise StepError(
                f"the table cannot be written as JSON: column {field.name!r} has an infinite value",
                code="bad-table",
                hint="replace it with table.derive, or write a Parquet file",
            )
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":  # finer than Python's own times
            column = column.cast(pa.string())
        columns.append(column)
    encode = msgspec.json.Encoder(decimal_format="string").encode
    shown = pa.Table.from_arrays(columns, content.column_names)
    for batch in shown.to_batches(max_chunksize=ROWS):
        yield from map(encode, batch.to_pylist(maps_as_pydicts="strict"))


def _has_infinity(column: Any) -> bool:
    """Return whether a column holds an infinite value, which JSON cannot express."""
    import pyarrow.compute as pc

    return any(pc.any(pc.is_inf(array)).as_py() for array in nested.floats(column))


def _unfit(field: Any, kind: str) -> StepError:
    return StepError(
        f"the table cannot be written as {kind}: column {field.name!r} has the type {field.type}",
        code="bad-table",
        hint="leave the column out with data.select, or write a Parquet file",
    )


_WRITERS: dict[str, Callable[[Any, Path, str], None]] = {
    "parquet": _parquet,
    "feather": _feather,
    "jsonl": _json_lines,
    "json": _json,
}
