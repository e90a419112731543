"""Generate the queries of the actions on single rows. In: parameters, known tables. Out: SQL, problems."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from e2i.catalog.columns import ColumnProblem, Given, KnownTable
from e2i.queries import types
from e2i.queries.literals import literal
from e2i.queries.syntax import quoted
from e2i.tools.table.statement import Built, Check, Tables, clashing, columns, failed, missing, numbered

KINDS = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
}
PARTS = {
    "year": "year({0})",
    "quarter": "quarter({0})",
    "month": "month({0})",
    "week": "week({0})",
    "day": "day({0})",
    "dayofyear": "dayofyear({0})",
    "weekday": "isodow({0}) - 1",
    "hour": "hour({0})",
    "minute": "minute({0})",
    "weekend": "isodow({0}) >= 6",
    "epoch": "epoch({0})",
}
PERIODS = {"month": 12, "day": 31, "dayofyear": 366, "weekday": 7, "hour": 24, "minute": 60}
OF_A_CLOCK = frozenset({"hour", "minute"})


def derive(given: Given, tables: Tables) -> Built:
    table = tables["table"]
    if wrong := failed(clashing(given["columns"], table.columns)):
        return wrong
    # A line of its own: a comment at its end must not reach the rest.
    made = [f"(\n{expression}\n) AS {quoted(name)}" for name, expression in given["columns"].items()]
    return Built(
        f"SELECT {', '.join([*columns(table.columns, 't'), *made])} FROM {quoted('table')} AS t", path=("columns",)
    )


def dates(given: Given, tables: Tables) -> Built:
    table, name = tables["table"], given["column"]
    kind = table.columns.get(name)
    problems = missing(table, given, "column")
    family = types.family(kind) if kind else None
    if family not in (None, "time"):
        hint = "parse it as a timestamp when the table is loaded, or use table.cast"
        problems.append(
            ColumnProblem(("column",), "bad-column", f'"{name}" is a {family} ({kind}), not a time', hint=hint)
        )
    for parameter in ("parts", "cyclic"):
        clock = [(index, part) for index, part in enumerate(given[parameter]) if part in OF_A_CLOCK]
        if clock and kind == "date32[day]":
            (index, part) = clock[0]
            problems.append(ColumnProblem((parameter, index), "bad-column", f'"{name}" is a date, which has no {part}'))
    made = {f"{name}_{part}": _part(part, name, given["holidays"]) for part in given["parts"]}
    for part in given["cyclic"]:
        angle = f"2 * pi() * ({_part(part, name, ())}) / {PERIODS[part]}"
        made |= {f"{name}_{part}_{fn}": f"{fn}({angle})" for fn in ("sin", "cos")}
    taken = {column.lower() for column in table.columns}
    if clash := [new for new in made if new.lower() in taken]:
        message = f'the table already has a column "{clash[0]}"'
        problems.append(ColumnProblem(("column",), "duplicate-column", message, hint="rename it before"))
    if wrong := failed(problems):
        return wrong
    added = [f"{expression} AS {quoted(new)}" for new, expression in made.items()]
    return Built(f"SELECT {', '.join([*columns(table.columns), *added])} FROM {quoted('table')}", path=("column",))


def sort(given: Given, tables: Tables) -> Built:
    table = tables["table"]
    if wrong := failed(missing(table, given, "by", "descending")):
        return wrong
    source, row = numbered("table", table)
    down = set(given["descending"])
    order = [f"{quoted(name)}{' DESC' if name in down else ''} NULLS LAST" for name in given["by"]]
    return Built(
        f"SELECT {', '.join(columns(table.columns))} FROM {source} AS t ORDER BY {', '.join([*order, row])}",
        path=("by",),
    )


def rename(given: Given, tables: Tables) -> Built:
    table, renamed = tables["table"], given["columns"]
    problems = missing(table, given, "columns")
    seen: set[str] = set()
    for name in table.columns:
        new = renamed.get(name, name)
        if new.lower() in seen:
            place = next((old for old in renamed if renamed[old].lower() == new.lower()), name)
            message = f'two columns would be named "{new}"'
            problems.append(ColumnProblem(("columns", place), "duplicate-column", message))
        seen.add(new.lower())
    if wrong := failed(problems):
        return wrong
    chosen = [f"{quoted(name)} AS {quoted(renamed.get(name, name))}" for name in table.columns]
    return Built(f"SELECT {', '.join(chosen)} FROM {quoted('table')}", path=("columns",))


def cast(given: Given, tables: Tables) -> Built:
    table = tables["table"]
    if wrong := failed(missing(table, given, "columns")):
        return wrong
    strict = given["errors"] == "fail"
    whole = [name for name, kind in given["columns"].items() if kind == "integer" and _may_have_a_fraction(table, name)]

    def changed(name: str, kind: str) -> str:
        value = f"{'CAST' if strict else 'TRY_CAST'}({quoted(name)} AS {KINDS[kind]})"
        # DuckDB rounds 1.5 to 2: a value with a fraction is no integer here.
        return value if strict or name not in whole else f"CASE WHEN {_has_a_fraction(name)} THEN NULL ELSE {value} END"

    built = _replaced(given, tables, changed)
    return structs.replace(built, checks=[_no_fraction(name) for name in whole]) if strict else built


def _may_have_a_fraction(table: KnownTable, name: str) -> bool:
    known = table.columns[name]
    return known is not None and types.family(known) in ("number", "text")


def _has_a_fraction(name: str) -> str:
    number = f"TRY_CAST({quoted(name)} AS DOUBLE)"
    return f"{number} IS DISTINCT FROM trunc({number})"


def _no_fraction(name: str) -> Check:
    column = quoted(name)
    shown = name.replace("{", "{{").replace("}", "}}")
    return Check(
        f"SELECT CAST({column} AS VARCHAR) FROM {quoted('table')} WHERE {_has_a_fraction(name)} LIMIT 1",
        f'column "{shown}" has the value {{0}}, which is no integer',
        "query-failed",
        'round the values with table.derive, or set `errors: "null"`',
    )


def fill(given: Given, tables: Tables) -> Built:
    table = tables["table"]
    problems = missing(table, given, "columns")
    for name, value in given["columns"].items():
        kind = table.columns.get(name)
        family = types.family(kind) if kind else None
        if family is not None and not _fits(value, family, kind or ""):
            message = f'"{name}" is a {family} ({kind}), and {value!r} is none'
            problems.append(ColumnProblem(("columns", name), "bad-column", message))
    if wrong := failed(problems):
        return wrong

    def filled(name: str, value: Any) -> str:
        target = types.to_duckdb(table.columns[name])
        typed = f"CAST({literal(value)} AS {target})" if target and target != '"NULL"' else literal(value)
        return f"coalesce({quoted(name)}, {typed})"

    return _replaced(given, tables, filled)


def sample(given: Given, tables: Tables) -> Built:
    table = tables["table"]
    if wrong := failed(missing(table, given, "by")):
        return wrong
    # Each key with its length, so that no two lists of keys make one text. A null is a key too.
    keys = " || ".join(
        f"coalesce(length(CAST({name} AS VARCHAR)) || ':' || CAST({name} AS VARCHAR), '-')"
        for name in columns(given["by"])
    )
    limit = int(given["fraction"] * 2**64)
    chosen = ", ".join(columns(table.columns))
    return Built(
        f"SELECT {chosen} FROM {quoted('table')} "
        f"WHERE md5_number_lower('{int(given['seed'] or 0)}:' || {keys}) < CAST({limit} AS UBIGINT)",
        path=("by",),
    )


def _replaced(given: Given, tables: Tables, expression: Any) -> Built:
    changed = given["columns"]
    chosen = [
        f"{expression(name, changed[name])} AS {quoted(name)}" if name in changed else quoted(name)
        for name in tables["table"].columns
    ]
    return Built(f"SELECT {', '.join(chosen)} FROM {quoted('table')}", path=("columns",))


def _part(part: str, name: str, holidays: Any) -> str:
    if part == "holiday":
        days = ", ".join(f"DATE {literal(day)}" for day in holidays)
        return f"CAST({quoted(name)} AS DATE) IN ({days})"
    return PARTS[part].format(quoted(name))


def _fits(value: Any, family: str, kind: str) -> bool:
    if isinstance(value, bool):
        return family == "boolean"
    if isinstance(value, int | float):
        return family == "number" and (isinstance(value, int) or "int" not in kind)
    return family in ("text", "time")
