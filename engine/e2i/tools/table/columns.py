"""Derive the columns of ``table.*`` while planning. In: known parameters. Out: columns, lineage and problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownTable, settled, twice
from e2i.catalog.files import Files
from e2i.queries import scalars
from e2i.queries.flow import problem
from e2i.queries.planned import planned
from e2i.queries.syntax import Query
from e2i.tools.table import combined, grouped, shaped
from e2i.tools.table.statement import Built, Generator, Tables

SOURCES = ("table", "left", "right", "tables")
"""Parameters that are tables."""
NAMES = ("by", "on", "order", "columns")
"""Parameters that list columns, each of which counts once."""


def join(given: Given, files: Files) -> Flow:
    """A left join that adds no rows has those of the left table."""
    found = _flow(given, combined.join)
    is_same = given.get("how") == "left" and given.get("expect") == "one"
    return _same_rows(found, given["left"]) if is_same else found


def asof(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, combined.asof), given["left"])


def aggregate(given: Given, files: Files) -> Flow:
    return _flow(given, grouped.aggregate)


def window(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, grouped.window), given["table"])


def derive(given: Given, files: Files) -> Flow:
    """Return the columns, and the errors of the expressions where they are written."""
    table = given["table"]
    if not isinstance(table, KnownTable) or not settled(given["columns"]):
        return Flow()
    try:
        wrong = list(_of_expressions(given["columns"], table))
    except ImportError:
        return Flow()
    return Flow({}, wrong) if wrong else _same_rows(_flow(given, shaped.derive), given["table"])


def dates(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, shaped.dates), given["table"])


def stack(given: Given, files: Files) -> Flow:
    return _flow(given, combined.stack)


def unpivot(given: Given, files: Files) -> Flow:
    return _flow(given, grouped.unpivot)


def pivot(given: Given, files: Files) -> Flow:
    return _flow(given, grouped.pivot)


def dedupe(given: Given, files: Files) -> Flow:
    return _some_rows(_flow(given, grouped.dedupe), given["table"])


def sort(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, shaped.sort), given["table"])


def rename(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, shaped.rename), given["table"])


def cast(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, shaped.cast), given["table"])


def fill(given: Given, files: Files) -> Flow:
    return _same_rows(_flow(given, shaped.fill), given["table"])


def sample(given: Given, files: Files) -> Flow:
    return _some_rows(_flow(given, shaped.sample), given["table"])


def sources(given: Given) -> dict[str, Any]:
    """Returns the tables among the parameters, by their names in the query."""
    found: dict[str, Any] = {}
    for name in SOURCES:
        value = given.get(name)
        if isinstance(value, list | tuple):
            found |= {f"table{index}": item for index, item in enumerate(value)}
        elif value is not None:
            found[name] = value
    return found


def _same_rows(flow: Flow, source: Any) -> Flow:
    """Return the flow of an action whose result has exactly the rows of the source."""
    table = flow.outputs.get("table")
    if not isinstance(table, KnownTable) or not isinstance(source, KnownTable):
        return flow
    return replace(flow, outputs={**flow.outputs, "table": replace(table, rows=source.rows)})


def _some_rows(flow: Flow, source: Any) -> Flow:
    """Return the flow of an action whose result has some rows of the source."""
    return _same_rows(flow, source.chosen("") if isinstance(source, KnownTable) else source)


def _flow(given: Given, generate: Generator) -> Flow:
    """Return the columns of a generated query. Problems of parameters come before those of the query."""
    found = sources(given)
    tables: Tables = {name: table for name, table in found.items() if isinstance(table, KnownTable)}
    others = {name: value for name, value in given.items() if name not in SOURCES}
    if len(tables) < len(found) or not found or not settled(others):
        return Flow()
    built = generate(given, tables)
    if built.problems:
        return Flow({}, built.problems)
    repeated = tuple(problem for name in NAMES for problem in twice((name,), given.get(name)))
    try:
        flow = _of_query(built, tables)
    except ImportError:  # without DuckDB, columns are unknown
        return Flow({}, repeated)
    return replace(flow, problems=(*repeated, *flow.problems))


def _of_query(built: Built, tables: Tables) -> Flow:
    found = planned(Query(built.sql, is_generated=True), tables)
    problems = [ColumnProblem(built.path, item.code, item.message, hint=item.hint) for item in found.findings]
    return Flow({"table": found.table} if found.table is not None and not problems else {}, problems)


def _of_expressions(expressions: Any, table: KnownTable) -> Iterator[ColumnProblem]:
    for name, expression in expressions.items():
        for finding in scalars.check(expression, table):
            yield problem(finding, expression, ("columns", name))
