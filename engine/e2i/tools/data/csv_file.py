"""Read a CSV file with pyarrow. In: a path, its layout, the declared types. Out: an Arrow table, and notes.

Types are known before the whole file is read: declared, or inferred from its first megabyte. So pyarrow keeps no texts
to convert them again. A column with a value of another type further down is read again as text, and inferred whole.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, structs

from e2i.errors import StepError
from e2i.tools.data import dialect, encodings, inference, streams, texts
from e2i.tools.data.declared import parsed_type
from e2i.tools.data.dialect import Layout
from e2i.tools.data.texts import Marks
from e2i.tools.data.unclear import UnclearError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCKS = (1 << 20, 1 << 26, (1 << 31) - 1)
"""Sizes of the blocks that pyarrow parses at once, in bytes. A larger one is tried when a row does not fit."""
FAILED_COLUMN = re.compile(r"In CSV column #(\d+): ")
MOST_RETRIES = 3
"""Number of columns that are read again one by one; then all that are not declared are read as text."""
FAST = ("integer", "number", "date", "string")
"""Types that pyarrow reads by itself, unless a value is written in another way."""


class Asked(Struct, frozen=True):
    """What to read of a file. ``shown`` is its name in messages."""

    shown: str
    layout: Layout
    columns: Sequence[str]
    types: Mapping[str, str]
    marks: Marks
    rows: int | None = None
    lenient: bool = False


class LeftOut(Struct):
    """The rows that were left out because of their number of fields."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, expected: int) -> list[str]:
        if not self.count:
            return []
        return [f"{self.count} rows without {expected} fields are left out: {'; '.join(self.examples)}"]


def read(path: Path, asked: Asked) -> tuple[pa.Table, list[str]]:
    """Return the rows and notes. Raises StepError, UnclearError, or an error of pyarrow for what it cannot parse."""
    import pyarrow as pa

    kinds = _kinds(path, asked)
    retries = 0
    while True:
        left_out = LeftOut()
        try:
            table = _table(path, asked, kinds, left_out)
            break
        except pa.ArrowInvalid as error:
            failed = _failed(error, asked)
            if failed is None or "invalid UTF8" in str(error):
                raise _explained(path, asked, error) from error
            retries += 1
            kinds[failed] = None
            if retries == MOST_RETRIES:
                kinds |= {name: None for name, kind in kinds.items() if name not in asked.types and kind != "string"}
    return _finished(path, table, asked, kinds, left_out)


def _kinds(path: Path, asked: Asked) -> dict[str, str | None]:
    """Return the type in which pyarrow reads each column; None: as text, to be converted here."""
    kinds: dict[str, str | None] = {
        name: kind if kind in FAST or kind.startswith("decimal") else None for name, kind in asked.types.items()
    }
    open_ = [name for name in asked.columns if name not in kinds]
    if asked.marks.thousands:
        kinds = {name: kind if kind == "string" else None for name, kind in kinds.items()}
    if open_:
        sample = _sample(path, asked)
        for name in open_:
            kind = inference.kind_of(sample[name], asked.marks) or "integer"
            kinds[name] = None if asked.marks.thousands and kind != "string" else kind
    return kinds


def _sample(path: Path, asked: Asked) -> pa.Table:
    """Return the rows of the first block as texts."""
    import pyarrow as pa

    texts_only: dict[str, str | None] = dict.fromkeys(asked.columns, "string")
    try:
        first = next(_batches(path, asked, texts_only, LeftOut()), None)
    except pa.ArrowInvalid as error:
        raise _explained(path, asked, error) from error
    if first is None:
        raise StepError(f"{asked.shown} has no rows", code="empty-table")
    return pa.Table.from_batches([first])


def _table(path: Path, asked: Asked, kinds: Mapping[str, str | None], left_out: LeftOut) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pc

    if asked.rows is not None:
        return _first_rows(asked.rows, _batches(path, asked, kinds, left_out))
    for block in BLOCKS:
        with streams.rows_of(path, asked.layout) as stream:
            try:
                return pc.read_csv(stream, *_options(asked, kinds, left_out, block))
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error) or block == BLOCKS[-1]:
                    raise
    raise AssertionError("the last block size has raised")


def _first_rows(rows: int, batches: Iterator[pa.RecordBatch]) -> pa.Table:
    import pyarrow as pa

    taken: list[pa.RecordBatch] = []
    missing = rows
    for batch in batches:
        taken.append(batch.slice(0, missing))
        missing -= taken[-1].num_rows
        if not missing:
            break
    return pa.Table.from_batches(taken)


def _batches(path: Path, asked: Asked, kinds: Mapping[str, str | None], left_out: LeftOut) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of about a block."""
    import pyarrow as pa
    import pyarrow.csv as pc

    for block in BLOCKS:
        with streams.rows_of(path, asked.layout) as stream:
            started = False
            try:
                for batch in pc.open_csv(stream, *_options(asked, kinds, left_out, block)):
                    started = True
                    yield batch
                return
            except pa.ArrowInvalid as error:
                if started or "straddling" not in str(error) or block == BLOCKS[-1]:
                    raise


def _options(asked: Asked, kinds: Mapping[str, str | None], left_out: LeftOut, block: int) -> tuple[Any, Any, Any]:
    """Return pyarrow's options to read, parse and convert."""
    import pyarrow as pa
    import pyarrow.csv as pc

    layout, marks = asked.layout, asked.marks

    def leave_out(row: Any) -> str:
        left_out.count += 1
        if len(left_out.examples) < 3:
            left_out.examples.append(row.text[:80])
        return "skip"

    trailing = [layout.names[-1]] if layout.trailing else []
    types = {name: pa.bool_() if kind == "boolean" else parsed_type(kind or "string") for name, kind in kinds.items()}
    return (
        pc.ReadOptions(column_names=list(layout.names), block_size=block),
        pc.ParseOptions(
            delimiter=layout.delimiter,
            quote_char=layout.quote or False,
            escape_char=layout.escape or False,
            newlines_in_values=layout.quote is not None,
            invalid_row_handler=leave_out if asked.lenient else None,
        ),
        pc.ConvertOptions(
            column_types=types | dict.fromkeys(trailing, pa.string()),
            include_columns=[*asked.columns, *trailing],
            null_values=marks.missing,
            true_values=inference.true_texts(marks),
            false_values=inference.false_texts(marks),
            decimal_point=layout.decimal,
            strings_can_be_null=False,
        ),
    )


def _failed(error: Exception, asked: Asked) -> str | None:
    """Return the column with a value of another type than it was read in."""
    found = FAILED_COLUMN.search(str(error))
    return None if found is None else asked.layout.names[int(found[1])]


def _finished(
    path: Path, table: pa.Table, asked: Asked, kinds: Mapping[str, str | None], left_out: LeftOut
) -> tuple[pa.Table, list[str]]:
    """Return the table with all columns in their types, and notes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    layout = asked.layout
    notes = left_out.note(len(layout.names))
    if layout.trailing:
        if pc.any(pc.not_equal(table[layout.names[-1]], "")).as_py():
            raise UnclearError(
                f"{asked.shown}: the last field has no name, but a row has a value in it", "name it in the file"
            )
        table = table.select(list(asked.columns))
    for index, name in enumerate(asked.columns):
        what = f"{asked.shown}: column {name!r}"
        column, note = table.column(index), None
        if kinds[name] == "string":
            column = texts.blanked(column, asked.marks.nulls)
        elif kinds[name] is None and name in asked.types:
            note = texts.mixed_offsets(column, asked.types[name], what)
            column = texts.converted(column, asked.types[name], asked.marks, what)
        elif kinds[name] is None:
            column, note = inference.inferred(column, asked.marks, what)
        elif name not in asked.types and column.null_count == len(column):
            column = column.cast(pa.float64())
        if name not in asked.types and inference.may_be_rounded(column):
            again = structs.replace(asked, columns=[name])
            text = _table(path, again, {name: "string"}, LeftOut())[name]
            inference.refuse_rounded(text, asked.marks, what)
        table = table.set_column(index, name, column)
        notes += [note.removeprefix(f"{asked.shown}: ")] if note else []
    return table, notes


def _explained(path: Path, asked: Asked, error: Exception) -> Exception:
    """Return the reason for which a file cannot be read, with its line where that can be found."""
    text = str(error)
    if "Empty CSV file" in text:
        return StepError(f"{asked.shown} has no rows", code="empty-table")
    if "invalid UTF8" in text or isinstance(error, UnicodeDecodeError):
        return _invalid_byte(path, asked) or error
    if "CSV parse error: Expected" in text:
        return _ragged(path, asked) or error
    return error


def _invalid_byte(path: Path, asked: Asked) -> Exception | None:
    """Return the error of the first line that is not in the file's encoding."""
    with streams.binary(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(asked.layout.encoding)
            except UnicodeDecodeError as error:
                return encodings.invalid(asked.shown, asked.layout.encoding, line, error.start, number)
    return None


def _ragged(path: Path, asked: Asked) -> Exception | None:
    """Return the error of the first row with another number of fields than names, found by reading it again."""
    layout = asked.layout
    with streams.text_rows(path, layout) as file:
        try:
            rows = dialect.rows(file, layout.delimiter, layout.quote, layout.escape, layout.comment)
            for fields, line in rows:
                if len(fields) != len(layout.names):
                    return dialect.ragged(asked.shown, line + layout.lines, len(fields), len(layout.names))
        except csv.Error:
            return None
    return None
