"""Derive the columns of ``data.*`` while planning. In: known parameters, files. Out: columns and problems."""

from __future__ import annotations

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownTable, absent, is_time, settled
from e2i.catalog.files import Files
from e2i.spec.problems import Code
from e2i.spec.suggest import few, repeated
from e2i.tools.data import PARTS, filters

TYPES = {"string": "string", "integer": "int64", "number": "double", "boolean": "bool"}
"""A type in ``types`` → the column's Arrow type."""
TIME = "timestamp[us, tz=UTC]"


def load(given: Given, files: Files) -> Flow:
    """Return the columns from the file's header, limited to ``columns``."""
    from e2i.tools.data import header  # and the modules that unpack and read files, needed by this action only

    path, kind = given["path"], given["format"]
    if not isinstance(path, str) or not (kind is None or isinstance(kind, str)):
        return Flow()
    try:
        present = header.read(path, kind, files)
    except header.NoFileError as error:
        message = f"there is no file {path}"
        return Flow(
            {}, [ColumnProblem(("path",), "no-such-file", message, path, error.near, hint=None if error.near else _PUT)]
        )
    if present is None:
        return Flow()
    if twice := repeated(name for name, _ in present):
        message = f"{path} has duplicate column names: {few(twice)}"
        return Flow({}, [ColumnProblem(("path",), "duplicate-column", message, hint="rename one of them in the file")])
    table = KnownTable(dict(present))
    problems = [
        problem for name in ("columns", "types", "parse_dates") for problem in absent(table, (name,), given[name], path)
    ]
    types, times, chosen = given["types"], given["parse_dates"], given["columns"]
    if problems or not settled([types, times, chosen]):
        return Flow({}, problems)
    typed = {name: TYPES.get(kind) for name, kind in types.items()} | dict.fromkeys(times, TIME)
    return Flow({"table": KnownTable({**table.columns, **typed}).only(chosen or table.columns)})


def split(given: Given, files: Files) -> Flow:
    """Return the columns of the table for each of the three outputs."""
    table, by = given["table"], given["by"]
    problems = list(absent(table, ("by",), by))
    if isinstance(table, KnownTable) and given["strategy"] == "time" and isinstance(by, str):
        kind = table.columns.get(by)
        if kind is not None and not is_time(kind) and kind in ("string", "bool"):
            problems.append(ColumnProblem(("by",), "bad-column", f'"{by}" is a {kind}, not a time', hint=_times(table)))
    parts = dict.fromkeys(PARTS, table) if isinstance(table, KnownTable) else {}
    return Flow({**parts, "parts": KnownKeys(PARTS)}, problems)


def select(given: Given, files: Files) -> Flow:
    table, columns, exclude = given["table"], given["columns"], given["exclude"]
    problems = [
        *absent(table, ("columns",), columns),
        *absent(table, ("exclude",), exclude),
        *filters.absent_columns(table, given["where"]),
    ]
    if not isinstance(table, KnownTable) or not settled([columns, exclude]):
        return Flow({}, problems)
    kept = (table if columns is None else table.only(columns)).without(exclude)
    return Flow({"table": kept}, problems)


def _times(table: KnownTable) -> str | None:
    found = [name for name, kind in table.columns.items() if is_time(kind)]
    return f"times in the table: {few(found)}" if found else None


_PUT = "paths are relative to the workspace's root; move the file there"

CODES = (
    Code(
        "bad-column",
        "A column whose type does not allow this use",
        "A point in time needs a timestamp. A number needs a numeric column.",
        "Use a column of the required type.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: brand}}\n',
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: '
        "observation_date}}\n",
    ),
    Code(
        "no-such-file",
        "A file that does not exist",
        "A spec names files in the workspace. Their headers are read to check the steps that follow.",
        "Correct the path, or create the file.",
        "steps:\n  load: {uses: data.load, with: {path: data/hpc.csv}}\n",
        "steps:\n  load: {uses: dataset.hcp}\n",
    ),
)
