"""Generate the queries of ``aggregate``, ``window``, ``pivot``, ``unpivot`` and ``dedupe``. Out: SQL, problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Given, KnownTable, Path, absent
from e2i.queries import types
from e2i.queries.literals import literal
from e2i.queries.syntax import quoted
from e2i.tools.table.statement import (
    Built,
    Tables,
    clashing,
    columns,
    condition,
    distance,
    failed,
    missing,
    numbered,
    unfit,
    unordered,
)

FUNCTIONS = {
    "count": "count({})",
    "count_distinct": "count(DISTINCT {})",
    "sum": "sum({})",
    "mean": "avg({})",
    "median": "median({})",
    "std": "stddev_samp({})",
    "var": "var_samp({})",
    "min": "min({})",
    "max": "max({})",
    "mode": "mode({})",
    "any": "bool_or({})",
    "all": "bool_and({})",
    "first": "first_value({})",
    "last": "last_value({})",
}
NUMERIC = frozenset({"sum", "mean", "std", "var"})
LOGICAL = frozenset({"any", "all"})


def aggregate(given: Given, tables: Tables) -> Built:
    table, by = tables["table"], given["by"]
    problems = [*missing(table, given, "by"), *clashing(given["columns"], by)]
    for name, column in given["columns"].items():
        problems += _misused(table, column, ("columns", name))
        problems += unfit(column.get("where"), table, ("columns", name, "where"))
    if wrong := failed(problems):
        return wrong
    made = [f"{_filtered(column, table)} AS {quoted(name)}" for name, column in given["columns"].items()]
    groups = ", ".join(columns(by))
    end = f" GROUP BY {groups} ORDER BY {groups}" if by else ""
    return Built(f"SELECT {', '.join([*columns(by), *made])} FROM {quoted('table')}{end}", path=("columns",))


def window(given: Given, tables: Tables) -> Built:
    table, order = tables["table"], given["order"]
    problems = [*missing(table, given, "by", "order"), *clashing(given["columns"], table.columns)]
    for name, column in given["columns"].items():
        problems += _misused(table, column, ("columns", name))
        limit = column.get("range")
        if limit is not None and len(order) > 1:
            problems.append(
                ColumnProblem(("columns", name, "range"), "bad-column", "a range needs one column in `order`")
            )
        elif unfitting := unordered(("columns", name, "range"), order[0], table.columns.get(order[0]), limit):
            problems.append(unfitting)
    if wrong := failed(problems):
        return wrong
    source, row = numbered("table", table)
    made = [f"{_over(column, given, row)} AS {quoted(name)}" for name, column in given["columns"].items()]
    return Built(
        f"SELECT {', '.join([*columns(table.columns), *made])} FROM {source} AS t ORDER BY {row}", path=("columns",)
    )


def pivot(given: Given, tables: Tables) -> Built:
    table, column = tables["table"], given["column"]
    names = [f"{given['prefix']}{value}" for value in given["values"]]
    problems = [
        *missing(table, given, "by", "column"),
        *_misused(table, given, ()),
        *_unlike(given["values"], column, table),
    ]
    seen = {name.lower() for name in given["by"]}
    for index, name in enumerate(names):
        if name.lower() in seen:
            message = f'two columns of the result would be named "{name}"'
            problems.append(ColumnProblem(("values", index), "duplicate-column", message, hint="set `prefix`"))
        seen.add(name.lower())
    if wrong := failed(problems):
        return wrong
    groups = ", ".join(columns(given["by"]))
    made = []
    for value, name in zip(given["values"], names, strict=True):
        one = condition([{"column": column, "op": "eq", "value": value}], table)
        made.append(f"{_call(given)} FILTER (WHERE {one}) AS {quoted(name)}")
    return Built(
        f"SELECT {', '.join([*columns(given['by']), *made])} FROM {quoted('table')} GROUP BY {groups} ORDER BY {groups}"
    )


def unpivot(given: Given, tables: Tables) -> Built:
    table, keep = tables["table"], given["keep"]
    kept = [name for name in table.columns if name not in given["columns"]] if keep is None else list(keep)
    families = {types.family(kind) for name in given["columns"] if (kind := table.columns.get(name))}
    problems = [*missing(table, given, "columns", *(["keep"] if keep is not None else []))]
    if len(families) > 1:
        message = f"these columns have several types: {', '.join(sorted(map(str, families)))}"
        problems.append(ColumnProblem(("columns",), "bad-column", message, hint="change them with table.cast"))
    for parameter in ("name", "value"):
        if given[parameter] in kept or given["name"] == given["value"]:
            message = f'two columns of the result would be named "{given[parameter]}"'
            problems.append(ColumnProblem((parameter,), "duplicate-column", message, hint=f"set `{parameter}`"))
    if wrong := failed(problems):
        return wrong
    source, row = numbered("table", table)
    rows = ", ".join(f"({index}, {literal(name)})" for index, name in enumerate(given["columns"]))
    values = " ".join(f"WHEN {index} THEN t.{quoted(name)}" for index, name in enumerate(given["columns"]))
    name, value = quoted(given["name"]), quoted(given["value"])
    chosen = [*columns(kept, "t"), f"n.name AS {name}", f"CASE n.place {values} END AS {value}"]
    return Built(
        f"SELECT {', '.join(chosen)} FROM {source} AS t CROSS JOIN (VALUES {rows}) AS n(place, name) "
        f"ORDER BY t.{row}, n.place",
        path=("columns",),
    )


def dedupe(given: Given, tables: Tables) -> Built:
    table, by = tables["table"], given["by"]
    if wrong := failed(missing(table, given, "order", *(["by"] if by is not None else []))):
        return wrong
    source, row = numbered("table", table)
    end = " DESC" if given["keep"] == "last" else ""
    order = ", ".join(f"{name}{end} NULLS LAST" for name in (*columns(given["order"]), row))
    keys = ", ".join(columns(table.columns if by is None else by))
    return Built(
        f"SELECT {', '.join(columns(table.columns))} FROM {source} AS t "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1 ORDER BY {row}"
    )


def _misused(table: KnownTable, column: Mapping[str, Any], path: Path) -> list[ColumnProblem]:
    """Returns problems of a function's column: it does not exist, or has a type that the function does not take."""
    of, fn = column.get("of"), column["fn"]
    found = list(absent(table, (*path, "of"), of))
    kind = table.columns.get(of) if of else None
    family = types.family(kind) if kind else None
    if family is not None and fn in NUMERIC and family not in ("number", "boolean", "null"):
        found.append(
            ColumnProblem((*path, "of"), "bad-column", f'{fn} takes a number, and "{of}" is a {family} ({kind})')
        )
    if family == "boolean" and fn in NUMERIC - {"sum"}:
        found.append(ColumnProblem((*path, "of"), "bad-column", f'{fn} takes a number: change "{of}" with table.cast'))
    if family is not None and fn in LOGICAL and family != "boolean":
        found.append(ColumnProblem((*path, "of"), "bad-column", f'{fn} takes true or false, and "{of}" is a {family}'))
    return found


def _unlike(values: Any, column: str, table: KnownTable) -> list[ColumnProblem]:
    """Returns the problem of values that the column cannot have."""
    if column not in table.columns:
        return []
    found = unfit([{"column": column, "op": "in", "value": list(values)}], table, ())
    return [ColumnProblem(("values",), item.code, item.message) for item in found]


def _call(column: Mapping[str, Any]) -> str:
    return FUNCTIONS[column["fn"]].format(quoted(column["of"]) if column.get("of") else "*")


def _filtered(column: Mapping[str, Any], table: KnownTable) -> str:
    where = column.get("where")
    return f"{_call(column)} FILTER (WHERE {condition(where, table)})" if where else _call(column)


def _over(column: Mapping[str, Any], given: Given, row: str) -> str:
    """Returns a function over the rows before a row. Rows at the same time are not before each other."""
    fn, rows, limit, current = column["fn"], column.get("rows"), column.get("range"), given["include_current"]
    by = f"PARTITION BY {', '.join(columns(given['by']))} " if given["by"] else ""
    order = ", ".join(columns(given["order"]))
    if fn == "lag":
        return f"lag({quoted(column['of'])}, {rows or 1}) OVER ({by}ORDER BY {order}, {row})"
    if fn in ("row_number", "rank"):
        return f"{fn}() OVER ({by}ORDER BY {order}{f', {row}' if fn == 'row_number' else ''})"
    if rows is not None:
        end = "CURRENT ROW" if current else "1 PRECEDING"
        frame = f"ORDER BY {order}, {row} ROWS BETWEEN {rows - current} PRECEDING AND {end}"
    else:
        start = "UNBOUNDED" if limit is None else distance(limit)
        frame = f"ORDER BY {order} RANGE BETWEEN {start} PRECEDING AND CURRENT ROW{'' if current else ' EXCLUDE GROUP'}"
    return f"{_call(column)} OVER ({by}{frame})"
