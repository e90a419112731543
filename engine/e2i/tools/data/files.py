"""Read data files of other programs. In: a file and the parameters of ``data.load``. Out: an Arrow table, and notes."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.spec.suggest import few, hint, repeated
from e2i.tools.data import contract, dialect, foreign, formats, streams
from e2i.tools.data.dialect import Layout
from e2i.tools.data.unclear import UnclearError

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.tools.data import LoadParams

Read = tuple["pa.Table", list[str]]


class Loaded:
    """The rows of a file, and what was found out about it."""

    def __init__(self, table: pa.Table, notes: Sequence[str]) -> None:
        self._table: pa.Table | None = table
        self.notes = tuple(notes)

    def hand_over(self) -> pa.Table:
        """Return the table without keeping it, so that its memory can be freed column by column while it is stored."""
        table, self._table = self._table, None
        return table


LONGEST = 1 << 20
"""Bytes in which the header of a text file must end."""


def read(path: Path, params: LoadParams) -> Loaded:
    """Return the file's rows and what was found out about it.

    Raises StepError when the file has an unknown format, cannot be read, has no rows, lacks a column, has more than one
    plausible reading, or has a value that does not match its column's type.
    """
    import pyarrow as pa

    shown = params.shown
    kind = params.format or formats.of(shown)
    if kind is None:
        raise StepError(
            f"the format of {shown} cannot be derived from its suffix",
            code="unknown-format",
            hint=f"set `format`, or use one of the suffixes {', '.join(formats.SUFFIXES)}",
        )
    given = {name: getattr(params, name) for name in type(params).model_fields} | {"path": shown}
    try:
        table, notes = _READERS[kind](path, kind, given)
    except UnclearError as error:
        raise StepError(error.message, code=error.code, hint=error.hint) from error
    except (pa.ArrowException, OSError, EOFError, UnicodeError, csv.Error) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(f"{shown} cannot be read as {kind}: {reason[0][:300]}", code="unreadable-file") from error
    if not table.num_rows:
        raise StepError(f"{shown} has no rows", code="empty-table")
    return Loaded(table, notes)


def layout_of(source: Any, given: Mapping[str, Any], kind: str, shown: str) -> Layout:
    """Return the layout of a text file from its first bytes. Raises UnclearError."""
    stated = formats.stated(given, kind)
    head = b""
    for most in (dialect.HEAD, LONGEST):
        head += source.read(most - len(head))
        if (other := foreign.what(head)) and given["delimiter"] is None:
            raise UnclearError(f"{shown} is {other}, not {kind.upper()}", foreign.hint(other))
        try:
            return dialect.layout(head, stated, shown, whole=len(head) < most)
        except UnclearError as error:
            if error.code != "header-too-long" or len(head) < most:
                raise
    raise UnclearError(f"the header of {shown} does not end within {LONGEST >> 20} MB", "state `delimiter` and `quote`")


def require(shown: str, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise StepError for duplicate columns, and for columns that are not present."""
    if twice := repeated(present):
        raise StepError(f"{shown} has duplicate column names: {few(twice)}", code="duplicate-column")
    known = set(present)
    absent = [name for name in wanted if name not in known]
    if absent:
        raise StepError(
            f"{shown} has no column {few(list(map(repr, absent)))}",
            code="unknown-column",
            hint=hint(absent[0], present, most=40),
        )


def _text(path: Path, kind: str, given: Mapping[str, Any]) -> Read:
    from e2i.tools.data import csv_file

    shown, types = given["path"], formats.declared(given)
    with streams.binary(path) as file:
        layout = layout_of(file, given, kind, shown)
    chosen = formats.selection(given["columns"])
    require(shown, layout.known, [*(chosen or ()), *types])
    columns = list(chosen or layout.columns)
    asked = csv_file.Asked(
        shown,
        layout,
        columns,
        {name: declared for name, declared in types.items() if name in columns},
        formats.marks(given, layout.decimal, layout.thousands),
        given["rows"],
        given["bad_rows"] == "report",
    )
    table, notes = csv_file.read(path, asked)
    return table, [*layout.notes, *notes]


def _parquet(path: Path, kind: str, given: Mapping[str, Any]) -> Read:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = _chosen(file.schema_arrow.names, given)
        if given["rows"] is None:
            table = file.read(columns=columns)
        else:
            table = _first(file.iter_batches(columns=columns), given["rows"], file.schema_arrow)
    return _typed(table.select(columns), given)


def _feather(path: Path, kind: str, given: Mapping[str, Any]) -> Read:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return _typed(table.select(_chosen(table.column_names, given)).slice(0, given["rows"]), given)


def _json_lines(path: Path, kind: str, given: Mapping[str, Any]) -> Read:
    from e2i.tools.data import json_file

    table = json_file.read(path, given["path"], formats.declared(given))
    return _typed(table.select(_chosen(table.column_names, given)).slice(0, given["rows"]), given)


def _excel(path: Path, kind: str, given: Mapping[str, Any]) -> Read:
    from e2i.tools.data import excel_file

    table = excel_file.read(path, given)
    return _typed(table.select(_chosen(table.column_names, given)).slice(0, given["rows"]), given)


def _first(batches: Any, rows: int, schema: Any) -> pa.Table:
    """Return the first rows of some batches."""
    import pyarrow as pa

    taken: list[Any] = []
    for batch in batches:
        taken.append(batch.slice(0, rows))
        rows -= taken[-1].num_rows
        if not rows:
            break
    return pa.Table.from_batches(taken) if taken else schema.empty_table()


def _chosen(present: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    chosen = formats.selection(given["columns"])
    require(given["path"], present, [*(chosen or ()), *formats.declared(given)])
    return list(chosen or present)


def _typed(table: pa.Table, given: Mapping[str, Any]) -> Read:
    types = {name: kind for name, kind in formats.declared(given).items() if name in table.column_names}
    return contract.enforce(table.replace_schema_metadata(None), types, given["path"]), []


_READERS = {
    "csv": _text,
    "tsv": _text,
    "jsonl": _json_lines,
    "parquet": _parquet,
    "feather": _feather,
    "excel": _excel,
}
