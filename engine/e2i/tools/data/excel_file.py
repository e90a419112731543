"""Read a sheet of an Excel or OpenDocument file with calamine. In: a path, parameters. Out: an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from e2i.errors import StepError, ToolUnavailable
from e2i.spec.suggest import few, hint
from e2i.tools.data.unclear import UnclearError


def read(path: Path, given: Mapping[str, Any]) -> Any:
    """Return the sheet's rows. Whole numbers are integers; a column of several types is refused with its first cell.

    Raises StepError or UnclearError.
    """
    import pyarrow as pa

    shown = given["path"]
    rows = _rows(path, given["sheet"], shown)[given["skip"] :]
    if not rows:
        raise StepError(f"{shown} has no rows", code="empty-table")
    first = 1 + given["skip"]
    if given["header"] is False:
        names, first = _numbered(rows[0], given["columns"]), first - 1
    else:
        names, rows = _names(rows[0], shown), rows[1:]
    nulls = set(given["nulls"])
    columns = []
    for index, name in enumerate(names):
        cells = [None if row[index] in nulls or row[index] == "" else row[index] for row in rows]
        columns.append(_column(cells, name, first + 1, shown, given))
    return pa.table(dict(zip(names, columns, strict=True)))


def _rows(path: Path, sheet: str | None, shown: str) -> list[list[Any]]:
    try:
        import python_calamine as calamine
    except ImportError as error:
        message = "Excel files are read with python-calamine, which is not installed"
        raise ToolUnavailable("data", message, code="tool-missing", hint='pip install "e2i[data]"') from error
    try:
        book = calamine.CalamineWorkbook.from_path(path)
        found = book.sheet_names
        if sheet is None and len(found) > 1:
            raise UnclearError(f"{shown} has the sheets {few(found)}", "state `sheet`", "unclear-dialect")
        if sheet is not None and sheet not in found:
            raise StepError(f"{shown} has no sheet {sheet!r}", code="unknown-sheet", hint=hint(sheet, found, most=40))
        rows: list[list[Any]] = book.get_sheet_by_name(sheet or found[0]).to_python(skip_empty_area=False)
    except calamine.CalamineError as error:
        raise StepError(f"{shown} cannot be read as excel: {error}", code="unreadable-file") from error
    return rows


def _names(cells: Sequence[Any], shown: str) -> list[str]:
    unnamed = [index + 1 for index, cell in enumerate(cells) if cell == ""]
    if unnamed:
        raise UnclearError(
            f"{shown}: column {unnamed[0]} has no name in the header", "name it, or state `skip`", "unnamed-column"
        )
    return [str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell) for cell in cells]


def _numbered(cells: Sequence[Any], columns: Any) -> list[str]:
    if isinstance(columns, Mapping) and len(columns) == len(cells):
        return list(columns)
    return [f"column_{index + 1}" for index in range(len(cells))]


def _column(cells: list[Any], name: str, first: int, shown: str, given: Mapping[str, Any]) -> Any:
    """Return the cells as one type."""
    import pyarrow as pa

    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float}:
        whole = all(cell is None or float(cell).is_integer() for cell in cells)
        return pa.array([cell if cell is None else int(cell) if whole else float(cell) for cell in cells])
    if kinds <= {date, datetime}:
        at_midnight = all(cell is None or not isinstance(cell, datetime) for cell in cells)
        if at_midnight:
            return pa.array(cells, pa.date32())
        midnight = time(0)
        moments = [
            cell if cell is None or isinstance(cell, datetime) else datetime.combine(cell, midnight) for cell in cells
        ]
        return pa.array(moments, pa.timestamp("us"))
    if len(kinds) == 1 and kinds <= {str, bool, time, timedelta}:
        return pa.array(cells)
    usual = max(kinds, key=lambda kind: sum(type(cell) is kind for cell in cells))
    at, odd = next((at, cell) for at, cell in enumerate(cells) if cell is not None and type(cell) is not usual)
    raise StepError(
        f"{shown}: column {name!r} has values of several types: row {first + at} has {odd!r}, most are "
        f"{usual.__name__}",
        code="bad-value",
        hint="correct the cell, or list the text in `nulls`",
    )
