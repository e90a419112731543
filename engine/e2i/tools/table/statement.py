"""A generated query: its SQL, the checks of its tables, and problems of its parameters. Names are always quoted.

Each generator takes the action's parameters as plain data and what is known of its tables. It is used while planning
and in the run, so both have the same columns and the same errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.catalog.columns import ColumnProblem, Given, KnownTable, Path, absent
from e2i.queries import types
from e2i.queries.literals import literal
from e2i.queries.syntax import quoted
from e2i.spec import durations
from e2i.spec.suggest import few

Tables = Mapping[str, KnownTable]


class Check(Struct, frozen=True):
    """A query that must return no row, and what is wrong when it does. ``message`` is formatted with the row."""

    sql: str
    message: str
    code: str
    hint: str


class Built(Struct, frozen=True):
    """What a generator returns. ``path`` is the parameter that errors of the query are reported at."""

    sql: str = ""
    problems: Sequence[ColumnProblem] = ()
    checks: Sequence[Check] = ()
    path: Path = ("table",)


Generator = Callable[[Given, Tables], Built]


def failed(problems: Iterable[ColumnProblem]) -> Built | None:
    """Returns the result of a generator that has found problems; None when there are none."""
    found = tuple(problems)
    return Built(problems=found) if found else None


def numbered(name: str, table: KnownTable) -> tuple[str, str]:
    """Returns a table with the position of each row, and the quoted name of that column."""
    row = "row"
    while row.lower() in {column.lower() for column in table.columns}:
        row += "_"
    return f"(SELECT *, row_number() OVER () AS {quoted(row)} FROM {quoted(name)})", quoted(row)


def columns(names: Iterable[str], of: str = "") -> list[str]:
    """Returns names as SQL, of a table if one is given."""
    return [f"{of}.{quoted(name)}" if of else quoted(name) for name in names]


def missing(table: KnownTable, given: Given, *paths: str | Path) -> list[ColumnProblem]:
    """Returns a problem for each name at the paths of the parameters that the table lacks."""
    found: list[ColumnProblem] = []
    for path in paths:
        steps = (path,) if isinstance(path, str) else path
        value: Any = given
        for step in steps:
            value = value[step] if not isinstance(value, Mapping) else value.get(step)
        found += absent(table, steps, value)
    return found


def clashing(new: Iterable[str], present: Collection[str], path: Path = ("columns",)) -> list[ColumnProblem]:
    """Returns a problem for each new column that the table already has. SQL ignores upper and lower case."""
    known = {name.lower(): name for name in present}
    return [
        ColumnProblem(
            (*path, name), "duplicate-column", f'the table already has a column "{known[name.lower()]}"', at_key=True,
            hint="use another name, or remove the column before",
        )
        for name in new
        if name.lower() in known
    ]  # fmt: skip


def distance(value: str | float) -> str:
    """Returns SQL for a distance in a column: a duration of times, or a number."""
    if isinstance(value, str):
        return f"INTERVAL {round(durations.parse(value) * 1_000_000)} MICROSECONDS"
    return literal(value)


def unordered(path: Path, name: str, kind: str | None, value: str | float | None) -> ColumnProblem | None:
    """Returns the problem of a distance that does not suit its column: durations are of times, numbers of numbers."""
    family = types.family(kind) if kind else None
    if family is None or value is None:
        return None
    wanted = "time" if isinstance(value, str) else "number"
    if family == wanted:
        return None
    shown = "a duration" if wanted == "time" else "a number"
    return ColumnProblem(path, "bad-column", f'"{name}" is a {family} ({kind}), and {shown} is no distance of it')


def condition(filters: Iterable[Mapping[str, Any]], table: KnownTable) -> str:
    """Returns structured filters as SQL. A null meets ``is_null`` and no other condition."""
    return " AND ".join(_condition(item, table) for item in filters) or "true"


def unfit(filters: Any, table: KnownTable, path: Path) -> Iterable[ColumnProblem]:
    """Yields problems of structured filters: unknown columns, and values of another type."""
    for index, item in enumerate([] if filters is None else filters):
        yield from absent(table, (*path, index, "column"), item["column"])
        kind = table.columns.get(item["column"])
        family = types.family(kind) if kind else None
        value: Any = item.get("value")
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None and family is not None and not _is_comparable(one, family):
                message = f'"{item["column"]}" is a {family} ({kind}) and cannot be compared with {one!r}'
                yield ColumnProblem((*path, index, "value"), "bad-column", message)
                break


def both(keys: Any, left: KnownTable, right: KnownTable, path: Path) -> list[ColumnProblem]:
    """Returns problems of keys: unknown columns, and pairs of types that are never equal."""
    found: list[ColumnProblem] = []
    for index, (one, other) in enumerate(pairs(keys)):
        place = (*path, one) if isinstance(keys, Mapping) else (*path, index)
        wrong = [
            *_key(one, left, "left", place, at_key=isinstance(keys, Mapping)),
            *_key(other, right, "right", place, at_key=False),
        ]
        found += wrong[:1]
        kinds = left.columns.get(one), right.columns.get(other)
        families = [types.family(kind) if kind else None for kind in kinds]
        if all(families) and families[0] != families[1]:
            sides = (
                f'"{one}" is a {families[0]} ({kinds[0]}) in the left table, and "{other}" a {families[1]} ({kinds[1]})'
            )
            hint = "change one of them with table.cast"
            found.append(ColumnProblem(place, "bad-column", f"{sides} in the right one", hint=hint))
        elif rounding := rounded(place, (one, kinds[0]), (other, kinds[1])):
            found.append(rounding)
    return found


def rounded(path: Path, left: tuple[str, str | None], right: tuple[str, str | None]) -> ColumnProblem | None:
    """Returns the problem of two columns whose values would be rounded to be compared; each with name and type."""
    (one, first), (other, second) = ((name, kind and types.to_duckdb(kind)) for name, kind in (left, right))
    if not first or not second or not types.is_rounded(first, second):
        return None
    message = (
        f'"{one}" is a {left[1]} in the left table, and "{other}" a {right[1]} in the right one: they are compared as '
        "floating-point numbers, where different values can be equal"
    )
    return ColumnProblem(path, "bad-column", message, hint="make both integers with table.cast")


def pairs(keys: Any) -> list[tuple[str, str]]:
    """Returns keys as pairs of names."""
    return list(keys.items()) if isinstance(keys, Mapping) else [(name, name) for name in keys]


def listed(names: Iterable[str]) -> str:
    """Returns names for a message."""
    return few(list(names))


def _key(name: str, table: KnownTable, side: str, path: Path, *, at_key: bool) -> Iterable[ColumnProblem]:
    for problem in absent(table, path, name, f"the {side} table"):
        yield ColumnProblem(path, problem.code, problem.message, problem.name, problem.known, at_key=at_key)


def _condition(item: Mapping[str, Any], table: KnownTable) -> str:
    column, op = quoted(item["column"]), item["op"]
    value: Any = item.get("value")
    kind = table.columns.get(item["column"])
    if op in ("is_null", "not_null"):
        return f"{column} IS {'NOT ' if op == 'not_null' else ''}NULL"
    if op in ("in", "not_in"):
        values = ", ".join(_value(one, kind) for one in value)
        return f"{column} {'NOT ' if op == 'not_in' else ''}IN ({values})"
    return f"{column} {OPERATORS[op]} {_value(value, kind)}"


def _value(value: Any, kind: str | None) -> str:
    return (
        f"CAST({literal(value)} AS {types.to_duckdb(kind)})"
        if kind and types.family(kind) == "time"
        else literal(value)
    )


def _is_comparable(value: Any, family: str) -> bool:
    if isinstance(value, bool):
        return family == "boolean"
    return family == "number" if isinstance(value, int | float) else family in ("text", "time")


OPERATORS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
