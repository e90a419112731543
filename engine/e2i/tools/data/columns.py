"""Derive the columns of ``data.*`` while planning. In: known parameters, files. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownTable, absent, is_time, settled
from e2i.catalog.files import Files
from e2i.spec.suggest import few, repeated
from e2i.tools.data import PARTS, contract, filters, formats


def load(given: Given, files: Files) -> Flow:
    """Return the columns from the file's header, limited to ``columns``, in their declared types."""
    from e2i.tools.data import header  # and the modules that unpack and read files, needed by this action only
    from e2i.tools.data.dialect import UnclearError

    path = given["path"]
    if given.get("stored") is not None:
        return _promised(given) if settled([given["columns"], given["types"], given["parse_dates"]]) else Flow()
    if not all(settled(value) for name, value in given.items() if name != "rows") or not isinstance(path, str):
        return Flow()
    try:
        present = header.read(given, files)
    except header.NoFileError as error:
        message = f"there is no file {path}"
        return Flow(
            {}, [ColumnProblem(("path",), "no-such-file", message, path, error.near, hint=None if error.near else _PUT)]
        )
    except UnclearError as error:
        return Flow({}, [ColumnProblem(("path",), error.code, error.message, hint=error.hint)])
    if present is None:
        return _promised(given)
    if twice := repeated(present.names):
        message = f"{path} has duplicate column names: {few(twice)}"
        return Flow({}, [ColumnProblem(("path",), "duplicate-column", message, hint="rename one of them in the file")])
    problems = list(_mismatches(KnownTable(present.columns), given))
    if problems:
        return Flow({}, problems)
    types = {name: _type(declared, present.columns[name]) for name, declared in formats.declared(given).items()}
    chosen = formats.selection(given["columns"]) or [name for name in present.columns if name not in present.hidden]
    notes = [ColumnProblem(("path",), "dialect", f"{path}: {note}", severity="warning") for note in present.notes]
    return Flow({"table": KnownTable({**present.columns, **types}).only(chosen)}, notes)


def _promised(given: Given) -> Flow:
    """Return the columns of a contract, for a file whose own are only known in a run."""
    if not isinstance(given["columns"], Mapping):
        return Flow()
    types = formats.declared(given)
    known = {
        name: None if types[name] == "timestamp" else contract.arrow_type(types[name]) for name in given["columns"]
    }
    return Flow({"table": KnownTable(known)})


def _mismatches(table: KnownTable, given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem for each name that is no column, and each column whose type breaks its contract."""
    for name in ("columns", "types", "parse_dates"):
        yield from absent(table, (name,), given[name], given["path"])
    for column, declared in formats.declared(given).items():
        found = table.columns.get(column)
        if found is not None and contract.result(declared, found) is None:
            where = next(name for name in ("columns", "types", "parse_dates") if column in (given[name] or ()))
            place = (where, column) if where != "parse_dates" else (where, list(given[where]).index(column))
            message = f"{given['path']}: {contract.message(column, found, declared)}"
            yield ColumnProblem(place, "bad-column", message, hint="correct the declared type")


def _type(declared: str, found: str | None) -> str | None:
    return contract.arrow_type(declared) if found is None else contract.result(declared, found)


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
        *filters.problems(table, given["where"]),
    ]
    if not isinstance(table, KnownTable) or not settled([columns, exclude]):
        return Flow({}, problems)
    kept = (table if columns is None else table.only(columns)).without(exclude)
    return Flow({"table": kept}, problems)


def _times(table: KnownTable) -> str | None:
    found = [name for name, kind in table.columns.items() if is_time(kind)]
    return f"times in the table: {few(found)}" if found else None


_PUT = "paths are relative to the workspace's root; move the file there"
