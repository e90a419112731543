"""Derive the columns of ``data.*`` while planning. In: known parameters, files. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from e2i.catalog.columns import (
    ColumnProblem,
    Flow,
    Given,
    Known,
    KnownFolds,
    KnownKeys,
    KnownTable,
    absent,
    is_time,
    known_from,
    settled,
    twice,
)
from e2i.catalog.files import Files
from e2i.catalog.lineage import Rows
from e2i.spec.problems import Code
from e2i.spec.suggest import few, repeated
from e2i.tools.data import PARTS, contract, filters, formats
from e2i.tools.data.declared import arrow_type


def load(given: Given, files: Files) -> Flow:
    """Return the columns from the file's header, limited to ``columns``, in their declared types."""
    from e2i.tools.data import header  # and the modules that unpack and read files, needed by this action only
    from e2i.tools.data.unclear import UnclearError

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
    if present is None and given["format"] is None and formats.of(first := files.matching(path)[0]) is None:
        message = f"the format of {first} cannot be derived from its suffix"
        hint = f"set `format`, or use one of the suffixes {', '.join(formats.SUFFIXES)}"
        return Flow({}, [ColumnProblem(("path",), "unknown-format", message, hint=hint)])
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
    return Flow({"table": known_from({**present.columns, **types}, given["known_at"]).only(chosen)}, notes)


def _promised(given: Given) -> Flow:
    """Return the columns of a contract, for a file whose own are only known in a run."""
    if not isinstance(given["columns"], Mapping):
        return Flow()
    types = formats.declared(given)
    known = {name: None if types[name] == "timestamp" else arrow_type(types[name]) for name in given["columns"]}
    return Flow({"table": KnownTable(known)})


def _mismatches(table: KnownTable, given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem for each name that is no column, and each column whose type breaks its contract."""
    for name in ("columns", "types", "parse_dates", "known_at"):
        yield from absent(table, (name,), given[name], given["path"])
    for column, declared in formats.declared(given).items():
        found = table.columns.get(column)
        if found is not None and contract.result(declared, found) is None:
            where = next(name for name in ("columns", "types", "parse_dates") if column in (given[name] or ()))
            place = (where, column) if where != "parse_dates" else (where, list(given[where]).index(column))
            message = f"{given['path']}: {contract.message(column, found, declared)}"
            yield ColumnProblem(place, "bad-column", message, hint="correct the declared type")


def _type(declared: str, found: str | None) -> str | None:
    return arrow_type(declared) if found is None else contract.result(declared, found)


def split(given: Given, files: Files) -> Flow:
    """Return the columns of the table for each of the three outputs."""
    table, by = given["table"], given["by"]
    problems = list(absent(table, ("by",), by))
    if isinstance(table, KnownTable) and given["strategy"] == "time" and isinstance(by, str):
        kind = table.columns.get(by)
        if kind is not None and not is_time(kind) and kind in ("string", "bool"):
            problems.append(ColumnProblem(("by",), "bad-column", f'"{by}" is a {kind}, not a time', hint=_times(table)))
    parts: dict[str, KnownTable] = {}
    if isinstance(table, KnownTable):
        about = [given.get(name) for name in ("strategy", "by", "fractions", "seed")]
        key = f"split {about}" if settled(about) else ""
        parts = {name: table.chosen(key, name) for name in PARTS}
    return Flow({**parts, "parts": KnownKeys(PARTS)}, problems, parts=frozenset(PARTS))


def folds(given: Given, files: Files) -> Flow:
    """Return the columns that the folds are made by."""
    table, time = given["table"], given["time"]
    problems = [problem for name in ("by", "time", "target") for problem in absent(table, (name,), given[name])]
    kind = table.columns.get(time) if isinstance(table, KnownTable) and isinstance(time, str) else None
    if isinstance(table, KnownTable) and kind in ("string", "bool"):
        problems.append(ColumnProblem(("time",), "bad-column", f'"{time}" is a {kind}, not a time', hint=_times(table)))
    by, at = (name if isinstance(name, str) else None for name in (given["by"], time))
    divided = table.rows if isinstance(table, KnownTable) else Rows()
    singly = given["strategy"] in ("kfold", "stratified")
    return Flow({"folds": KnownFolds(by, at, divided, singly)}, problems)


def select(given: Given, files: Files) -> Flow:
    table, columns, exclude = given["table"], given["columns"], given["exclude"]
    problems = [
        *absent(table, ("columns",), columns),
        *absent(table, ("exclude",), exclude),
        *twice(("columns",), columns),
        *twice(("exclude",), exclude),
        *filters.problems(table, given["where"]),
    ]
    if not isinstance(table, KnownTable) or not settled([columns, exclude]):
        return Flow({}, problems)
    kept = (table if columns is None else table.only(columns)).without(exclude)
    if given["where"] in ((), []) and given["rows"] is None:
        return Flow({"table": kept}, problems)
    return Flow({"table": kept.chosen("")}, problems, parts=frozenset(["table"]))


def profile(given: Given, files: Files) -> Flow:
    """Return the names of the columns that are described."""
    table, columns, target = given["table"], given["columns"], given["target"]
    problems = [*absent(table, ("columns",), columns), *absent(table, ("target",), target)]
    if not isinstance(table, KnownTable) or not settled([columns, target]) or problems:
        return Flow({}, problems)
    chosen = list(table.columns if columns is None else columns)
    names = dict.fromkeys([*chosen, *([target] if target is not None else [])])
    return Flow({"columns": KnownKeys(tuple(names))}, problems)


def diff(given: Given, files: Files) -> Flow:
    """Return the columns of the rows that were added, removed and changed."""
    from e2i.tools.data.compare import CHANGED, clashing, compared_columns  # with the outputs of this action only

    before, after, exclude = given["before"], given["after"], given["exclude"]
    key = [given["key"]] if isinstance(given["key"], str) else given["key"]
    problems = [*absent(before, ("key",), given["key"], "the table before")]
    problems += absent(after, ("key",), given["key"], "the table after") if not problems else ()
    outputs: dict[str, Known] = {}
    outputs |= {"added": after} if isinstance(after, KnownTable) else {}
    outputs |= {"removed": before} if isinstance(before, KnownTable) else {}
    if problems or not settled([key, exclude]):
        return Flow(outputs, problems)
    if not isinstance(before, KnownTable) or not isinstance(after, KnownTable):
        return Flow(outputs)
    for index, name in enumerate(exclude):
        if name not in before.columns and name not in after.columns:
            message = f'neither table has a column "{name}"'
            problems.append(ColumnProblem(("exclude", index), "unknown-column", message, name, after.names))
    compared = compared_columns(list(before.columns), list(after.columns), key, exclude)
    if twice := clashing(key, compared):
        message = f"the table of changes would have two columns named {few(twice)}"
        hint = "exclude or rename one of them"
        return Flow(outputs, [*problems, ColumnProblem(("key",), "duplicate-column", message, hint=hint)])
    changed: dict[str, str | None] = {name: after.columns[name] for name in key}
    changed[CHANGED] = "list<item: string>"
    for name in compared:
        changed |= {f"{name}_before": before.columns[name], f"{name}_after": after.columns[name]}
    return Flow({**outputs, "changed": KnownTable(changed)}, problems)


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
