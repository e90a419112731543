"""Checks an expression of one row, before it becomes part of a query. In: SQL, the table. Out: findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import KnownTable
from e2i.queries import functions, lock, planned, session, syntax
from e2i.queries.syntax import Finding, Node, Query, function_name, nodes, offset

BEFORE, AFTER = "SELECT (\n", '\n) AS value FROM "table" AS t'
ROWS = functions.AGGREGATES | functions.WINDOWS | {"unnest", "unlist", "generate_series", "range"}
PARTS = ("where_clause", "having", "qualify", "sample", "group_expressions", "group_sets", "modifiers")
"""Parts of a SELECT that an expression must not bring with it."""


def check(expression: str, table: KnownTable) -> list[Finding]:
    """Returns the findings of an expression, with offsets in its own text. Raises ImportError without DuckDB."""
    query = f"{BEFORE}{expression}{AFTER}"
    with session.planning() as connection:
        statements, found = syntax.parsed(connection, query)
    if not found:
        found = list(_shape(statements, query)) or list(lock.check(statements, ["table"], table.columns, query))
    if not found:
        found = list(planned.planned(Query(query), {"table": table}).findings)
    return [_own(finding, expression) for finding in found]


def _shape(statements: list[Node], query: str) -> Iterator[Finding]:
    """Yields a finding when the text is more than one expression, or one of several rows."""
    tree: Any = statements[0]["node"] if len(statements) == 1 else {}
    is_one = (
        tree.get("type") == "SELECT_NODE"
        and len(tree["select_list"]) == 1
        and (tree.get("from_table") or {}).get("type") == "BASE_TABLE"
        and not any(tree.get(part) for part in PARTS)
        and not (tree.get("cte_map") or {}).get("map")
    )
    if not is_one:
        yield Finding("query-refused", "this is not one expression", hint="write one value computed from one row")
        return
    for node in nodes(tree):
        kind = node.get("class")
        name = function_name(node) if kind in ("FUNCTION", "WINDOW") else None
        if kind == "SUBQUERY" or kind == "WINDOW" or name in ROWS:
            what = f"{(name or '').removesuffix('_star')} is a function" if name else "a subquery is a value"
            hint = "use table.aggregate, table.window or sql.query"
            yield Finding("query-refused", f"{what} of several rows", offset(node, query), hint)
        elif kind == "STAR" or kind == "PARAMETER":
            yield Finding("query-refused", "an expression names its columns", offset(node, query))


def _own(finding: Finding, expression: str) -> Finding:
    if finding.offset is None:
        return finding
    return replace(finding, offset=min(max(finding.offset - len(BEFORE), 0), max(len(expression) - 1, 0)))
