"""Generate the queries of ``join``, ``asof``, ``stack``. In: parameters, known tables. Out: SQL, checks, problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from e2i.catalog.columns import ColumnProblem, Given, KnownTable, Path, absent
from e2i.queries import types
from e2i.queries.literals import literal
from e2i.queries.syntax import quoted
from e2i.spec import durations
from e2i.tools.table.statement import (
    Built,
    Check,
    Tables,
    both,
    columns,
    failed,
    listed,
    numbered,
    pairs,
    rounded,
    unordered,
)

JOINS = {"left": "LEFT", "inner": "INNER", "full": "FULL", "semi": "SEMI", "anti": "ANTI"}


def join(given: Given, tables: Tables) -> Built:
    left, right, keys, how = tables["left"], tables["right"], pairs(given["on"]), given["how"]
    added = {} if how in ("semi", "anti") else _added(right, [other for _, other in keys], left, given["suffix"])
    if wrong := failed(both(given["on"], left, right, ("on",))) or failed(_clashes(added, left)):
        return wrong
    source, row = numbered("left", left)
    kept = columns(left.columns, "l")
    other, after = quoted("right"), f"l.{row}"
    if how == "full":
        own = dict(keys)
        kept = [
            f"coalesce(l.{quoted(name)}, r.{quoted(own[name])}) AS {quoted(name)}"
            if name in own
            else f"l.{quoted(name)}"
            for name in left.columns
        ]
    if how not in ("semi", "anti") and (how == "full" or given["expect"] == "many"):
        other, position = numbered("right", right)
        after += f" NULLS LAST, r.{position}"
    chosen = [*kept, *(f"r.{quoted(name)} AS {quoted(new)}" for name, new in added.items())]
    return Built(
        f"SELECT {', '.join(chosen)} FROM {source} AS l {JOINS[how]} JOIN {other} AS r ON {_equal(keys)} "
        f"ORDER BY {after}",
        checks=[_unique([other for _, other in keys], "key")] if given["expect"] == "one" and added else (),
        path=("on",),
    )


def asof(given: Given, tables: Tables) -> Built:
    left, right, keys = tables["left"], tables["right"], pairs(given["by"])
    left_time, right_time, tolerance = given["left_time"], given["right_time"], given["tolerance"]
    added = _added(right, [other for _, other in keys], left, given["suffix"])
    problems = [
        *both(given["by"], left, right, ("by",)),
        *absent(left, ("left_time",), left_time, "the left table"),
        *absent(right, ("right_time",), right_time, "the right table"),
        *_times(left, right, left_time, right_time),
    ]
    if unfit := unordered(("tolerance",), left_time, left.columns.get(left_time), tolerance):
        problems.append(unfit)
    if wrong := failed(problems) or failed(_clashes(added, left)):
        return wrong
    source, row = numbered("left", left)
    one, other = f"l.{quoted(left_time)}", f"r.{quoted(right_time)}"
    fresh = _is_fresh(one, other, tolerance)
    chosen = [
        *columns(left.columns, "l"),
        *(f"{fresh(f'r.{quoted(name)}')} AS {quoted(new)}" for name, new in added.items()),
    ]
    compared = f"{one} {'>' if given['strict'] else '>='} {other}"
    on = " AND ".join([*([_equal(keys)] if keys else []), compared])
    return Built(
        f"SELECT {', '.join(chosen)} FROM {source} AS l ASOF LEFT JOIN {quoted('right')} AS r ON {on} ORDER BY l.{row}",
        checks=[_unique([*(other for _, other in keys), right_time], "key and time")],
        path=("left_time",),
    )


def stack(given: Given, tables: Tables) -> Built:
    known = list(tables.values())
    names = list(dict.fromkeys(name for table in known for name in table.columns))
    problems: list[ColumnProblem] = []
    for index, table in enumerate(known):
        lacking = [name for name in names if name not in table.columns]
        if lacking and given["missing"] == "fail":
            message = f"this table has no column {listed(lacking)}, which another has"
            problems.append(ColumnProblem(("tables", index), "unknown-column", message, hint="set `missing: null`"))
        problems += _other_types(("tables", index), table, known)
    if wrong := failed(problems):
        return wrong
    parts = [
        "SELECT " + ", ".join(quoted(name) if name in table.columns else f"NULL AS {quoted(name)}" for name in names)
        + f" FROM {quoted(source)}"
        for source, table in tables.items()
    ]  # fmt: skip
    return Built(" UNION ALL ".join(parts), checks=_rounding(tables), path=("tables",))


def _added(right: KnownTable, keys: Iterable[str], left: KnownTable, suffix: str | None) -> dict[str, str]:
    """Returns the right table's columns other than keys, with their names in the result."""
    left_out, taken = set(keys), {name.lower() for name in left.columns}
    return {
        name: f"{name}{suffix or ''}" if name.lower() in taken else name
        for name in right.columns
        if name not in left_out
    }


def _clashes(added: dict[str, str], left: KnownTable) -> Iterable[ColumnProblem]:
    """Yields the problem of a name that both tables have."""
    taken = {name.lower() for name in left.columns}
    for new in added.values():
        if new.lower() in taken:
            hint = "set `suffix`, or rename or leave out the column"
            yield ColumnProblem(("right",), "duplicate-column", f'both tables have a column "{new}"', hint=hint)
            return
        taken.add(new.lower())


def _times(left: KnownTable, right: KnownTable, left_time: str, right_time: str) -> Iterable[ColumnProblem]:
    kinds = left.columns.get(left_time), right.columns.get(right_time)
    families = [types.family(kind) if kind else None for kind in kinds]
    for parameter, kind, family in zip(("left_time", "right_time"), kinds, families, strict=True):
        if family is not None and family not in ("time", "number"):
            yield ColumnProblem((parameter,), "bad-column", f"a {family} ({kind}) is neither a time nor a number")
            return
    if all(families) and families[0] != families[1]:
        message = f"{left_time} is a {families[0]} ({kinds[0]}), and {right_time} a {families[1]} ({kinds[1]})"
        yield ColumnProblem(("right_time",), "bad-column", message, hint="change one with table.cast")
    elif rounding := rounded(("right_time",), (left_time, kinds[0]), (right_time, kinds[1])):
        yield rounding


def _is_fresh(one: str, other: str, tolerance: str | float | None) -> Callable[[str], str]:
    """Returns a function that makes a value null when it is older than the tolerance."""
    if tolerance is None:
        return lambda column: column
    if isinstance(tolerance, str):
        age = f"epoch_us(CAST({one} AS TIMESTAMP)) - epoch_us(CAST({other} AS TIMESTAMP))"
        limit = literal(round(durations.parse(tolerance) * 1_000_000))
    else:
        age, limit = f"{one} - {other}", literal(tolerance)
    return lambda column: f"CASE WHEN {age} <= {limit} THEN {column} END"


def _equal(keys: list[tuple[str, str]]) -> str:
    return " AND ".join(f"l.{quoted(one)} = r.{quoted(other)}" for one, other in keys)


def _unique(names: list[str], what: str) -> Check:
    """Returns the check that the right table has one row for each key. Rows without a key are never joined."""
    keys = ", ".join(columns(names))
    present = " AND ".join(f"{name} IS NOT NULL" for name in columns(names))
    sql = (
        f"SELECT {keys}, count(*) FROM {quoted('right')} WHERE {present} GROUP BY {keys} HAVING count(*) > 1 "
        f"ORDER BY count(*) DESC, {keys} LIMIT 1"
    )
    shown = ", ".join(f"{name} = {{{index}}}" for index, name in enumerate(names))
    return Check(
        sql,
        f"the right table has {{{len(names)}}} rows of one {what}: {shown}",
        "repeated-key",
        "make its keys unique with table.dedupe or table.aggregate"
        + (", or set `expect: many` to keep all of them" if what == "key" else ""),
    )


def _rounding(tables: Tables) -> list[Check]:
    """Returns checks of columns that become floating-point numbers: values above 2^53, or 2^24, would be rounded."""
    kinds = {
        (source, name): kind
        for source, table in tables.items()
        for name, arrow in table.columns.items()
        if arrow and (kind := types.to_duckdb(arrow))
    }
    checks = []
    for (source, name), kind in kinds.items():
        others = [other for (_, column), other in kinds.items() if column == name]
        limit = max((types.largest_exact(kind, other) or 0 for other in others), default=0)
        if limit:
            value = f"CAST({quoted(name)} AS HUGEINT)" if kind in types.NUMBERS else quoted(name)
            sql = f"SELECT {quoted(name)} FROM {quoted(source)} WHERE abs({value}) > {limit} LIMIT 1"
            message = f'"{name}" has the {kind} {{0}}, which is rounded beside floating-point numbers of another table'
            checks.append(Check(sql, message, "bad-column", "make all of them integers with table.cast"))
    return checks


def _other_types(path: Path, table: KnownTable, known: list[KnownTable]) -> Iterable[ColumnProblem]:
    first = known[0]
    for name, kind in table.columns.items():
        before = first.columns.get(name)
        if kind and before and types.family(kind) != types.family(before) and "null" not in (kind, before):
            message = (
                f'"{name}" is a {types.family(kind)} ({kind}) here, and a {types.family(before)} in the first table'
            )
            yield ColumnProblem(path, "bad-column", message, hint="change one with table.cast")
            return
