"""Checks a query before it runs. In: SQL, what is known of its tables, parameters. Out: its columns, and findings.

The query is bound to empty tables of the known types. No row is read, and DuckDB is locked while it looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.columns import KnownTable, settled
from e2i.queries import comparisons, functions, lineage, lock, order, session, syntax, types
from e2i.queries.literals import Written, written
from e2i.queries.syntax import Finding, Node, Query, quoted
from e2i.spec.suggest import few

Tables = Mapping[str, KnownTable | None]
"""Name of a table in the query → what is known of it."""
BY_ROW = frozenset({"LOGICAL_FILTER", "LOGICAL_GET", "LOGICAL_PROJECTION"})


class Planned(Struct, frozen=True):
    """What is known of a query. ``text`` is the query with its parameters filled in.

    ``is_parallel``: its result is the same however many threads compute it.
    """

    findings: tuple[Finding, ...] = ()
    table: KnownTable | None = None
    text: str = ""
    is_parallel: bool = False


def planned(query: Query, tables: Tables) -> Planned:
    """Returns what is known of a query and all that is wrong with it. Raises ImportError without DuckDB."""
    import duckdb

    try:
        with session.planning() as connection:
            return _planned(connection, query, tables)
    except duckdb.InterruptException:
        hint = "split it into several steps"
        return Planned((Finding("query-refused", "the query is too complex to be checked before the run", hint=hint),))
    except RecursionError:
        return Planned((syntax.TOO_DEEP,))


def _planned(connection: Any, query: Query, tables: Tables) -> Planned:
    statements, findings = syntax.parsed(connection, query.text)
    if findings:
        return Planned(tuple(findings))
    columns = {name for table in tables.values() if table for name in table.columns}
    refused = tuple(lock.check(statements, tables, columns, query.text))
    if refused:
        return Planned(refused)
    tree = statements[0]["node"]
    text, wrong = written(tree, query)
    found = (*(() if query.is_generated else order.check(tree, query.text)), *wrong)
    known = {name.lower(): table for name, table in tables.items() if table is not None}
    if wrong or text is None or len(known) < len(tables) or not settled(query.params):
        return Planned(found)
    return _bound(connection, text, tables, known, found)


def _bound(
    connection: Any, text: Written, tables: Tables, known: Mapping[str, KnownTable], found: tuple[Finding, ...]
) -> Planned:
    """Returns the columns of a query whose tables and parameters are all known."""
    for name, table in tables.items():
        if table is not None and table.columns:
            connection.execute(_creation(name, table))
    statement = "SELECT json_serialize_plan(?::VARCHAR, optimize := false)"
    try:
        document = json.loads(connection.execute(statement, [text.text]).fetchone()[0])
    except ValueError:  # DuckDB writes an integer beyond 128 bits as no JSON
        hint = "use a number of at most 38 digits"
        return Planned((*found, Finding("query-refused", "the query has a number with too many digits", hint=hint)))
    is_typed = all(kind is not None for table in known.values() for kind in table.columns.values())
    if document["error"]:
        error = text.back(syntax.error(document, text.text))
        if error.code == "unknown-column":
            error = replace(error, known=tuple(dict.fromkeys((*error.known, *_columns(known)))))
        certain = is_typed or error.code == "unknown-column"
        return Planned((*found, error) if certain else found)
    plan = document["plans"][0]
    wrong = comparisons.check(plan, text.text, lambda: _casts(connection, text.text))
    found = (*found, *(text.back(finding) for finding in wrong))
    described = [row[:2] for row in connection.execute(f"DESCRIBE {text.text}").fetchall()]
    names = [name for name, _ in described]
    loose = frozenset() if is_typed else lineage.untyped(known, plan, names)
    found = (*found, *_unusable(described, loose), *_outside(plan, known))
    made_from = lineage.of(plan, known, names) or {}
    columns = {name: None if name in loose else types.to_arrow(kind) for name, kind in described}
    return Planned(found, KnownTable(columns, made_from), text.text, _is_parallel(plan))


def _casts(connection: Any, text: str) -> frozenset[int]:
    """Returns the positions of the casts that are written in a query."""
    statements, _ = syntax.parsed(connection, text)
    return frozenset(node["query_location"] for node in syntax.nodes(statements) if node.get("class") == "CAST")


def _columns(known: Mapping[str, KnownTable]) -> list[str]:
    return [name for table in known.values() for name in table.columns]


def _creation(name: str, table: KnownTable) -> str:
    columns = ", ".join(
        f"{quoted(column)} {types.to_duckdb(kind) or types.READ['null']}" for column, kind in table.columns.items()
    )
    return f"CREATE TABLE {quoted(name)} ({columns})"


def _unusable(described: Iterable[tuple[str, str]], loose: Collection[str]) -> Iterable[Finding]:
    """Yields findings of columns that a table cannot have."""
    seen: set[str] = set()
    for name, kind in described:
        if name in seen:
            yield Finding("duplicate-column", f'two columns of the result are named "{name}"', hint="use AS")
        seen.add(name)
        if name not in loose and types.to_arrow(kind) is None:
            message = f'the column "{name}" of the result is a {kind}, which a table cannot have'
            yield Finding("bad-query", message, hint=_CAST.get(kind, "cast it to a number, text or time"))


def _outside(plan: Node, known: Mapping[str, KnownTable]) -> Iterable[Finding]:
    """Yields findings of functions and tables that came in under another name. The syntax tree has shown none."""
    for node in syntax.nodes(plan):
        if node.get("type") == "LOGICAL_GET" and syntax.bound_name(node) not in functions.TABLES:
            read = str((node.get("function_data") or {}).get("table", syntax.bound_name(node)))
            if read.lower() not in known:
                yield Finding("query-refused", f"the query reads {read}, which is not in `tables`")
    names = {syntax.bound_name(node) for node in syntax.nodes(plan) if node.get("expression_class") == "BOUND_FUNCTION"}
    if outside := sorted(names & functions.OUTSIDE):
        yield Finding("query-refused", f"{few(outside)} depends on the time or the session, not on the tables")


def _is_parallel(plan: Node) -> bool:
    """Returns True when neither the order of the result nor a value depends on the number of threads."""
    while plan["type"] in BY_ROW and plan.get("children"):
        (plan,) = plan["children"]
    if plan["type"] == "LOGICAL_GET":
        return True
    exact = (
        plan["type"] == "LOGICAL_AGGREGATE_AND_GROUP_BY"
        and not plan["groups"]
        and all(map(_is_exact, plan["expressions"]))
    )
    return exact and all(child["type"] in BY_ROW for child in _operators(plan["children"]))


def _operators(children: Iterable[Node]) -> Iterable[Node]:
    for child in children:
        yield child
        yield from _operators(child.get("children", ()))


def _is_exact(expression: Node) -> bool:
    """Returns True for an aggregate that does not depend on how rows are divided. A sum of integers is exact."""
    name, kind = syntax.bound_name(expression), expression["return_type"]["id"]
    return name in functions.EXACT or (name == "sum" and kind == "HUGEINT")


_CAST = {
    "INTERVAL": "use epoch(…) for its seconds",
    "TIME WITH TIME ZONE": "cast it to TIME",
    "JSON": "cast it to VARCHAR",
}
