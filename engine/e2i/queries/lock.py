"""Refuses queries that do more than compute a table from tables. In: a syntax tree. Out: findings.

Everything that is not allowed here is refused: types of nodes, tables and functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod
from typing import Any, Final

from e2i.queries import functions
from e2i.queries.syntax import Finding, Node, function_name, nodes, offset

EXPRESSIONS: Final = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA"}
    | {"LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"}
)
QUERIES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
MODIFIERS: Final = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
TABLES: Final = frozenset({"BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", "TABLE_FUNCTION"})
NAMED: Final = {
    "SHOW_REF": "DESCRIBE, SHOW and SUMMARIZE are not possible in a query",
    "INSERT_QUERY_NODE": "a query cannot insert rows",
    "UPDATE_QUERY_NODE": "a query cannot update rows",
    "DELETE_QUERY_NODE": "a query cannot delete rows",
    "COLUMN_DATA": "a query reads its tables only",
}
FUNCTIONS: Final = functions.SCALARS | functions.OPERATORS | functions.AGGREGATES | functions.WINDOWS | {"unnest"}
AGGREGATING: Final = frozenset({"array_aggr", "array_aggregate", "list_aggr", "list_aggregate"})
"""Functions whose second argument names an aggregate."""
LONGEST: Final = {"generate_series": 1_000_000, "range": 1_000_000}
MOST_COPIES: Final = 10_000
"""Limit on the numbers in a call of a growing function that is computed while the query is checked."""
MOST_COLUMNS: Final = 4_096
"""Limit on how often the stars of a query multiply the columns of its tables."""


def check(statements: list[Node], tables: Collection[str], columns: Collection[str], query: str) -> Iterator[Finding]:
    """Yields a finding for everything that a query must not contain. ``columns`` are those of all its tables."""
    if len(statements) != 1:
        yield Finding(
            "query-refused", f"a query is one SELECT, and these are {len(statements)}", hint="use a step each"
        )
        return
    tree = statements[0]["node"]
    given = frozenset(name.lower() for name in tables)
    known = {name.lower() for name in columns} | set(_aliases(tree))
    if _multiplied(tree) > MOST_COLUMNS:
        yield Finding("query-refused", "the stars of this query multiply its columns without end")
    for node in _undefined(tree, given):
        name = _plain_name(node)
        message = f'there is no table "{name}" in `tables`'
        yield Finding("bad-query", message, offset(node, query), None, name, tuple(tables))
    in_from = {id(node["function"]) for node in nodes(tree) if node.get("type") == "TABLE_FUNCTION"}
    for node in nodes(tree):
        if id(node) not in in_from and (reason := _refused(node, known)):
            yield Finding("query-refused", reason, offset(node, query))


def _refused(node: Node, known: Collection[str]) -> str | None:
    """Returns why a node is not allowed."""
    kind, type_ = node.get("class"), node.get("type")
    if node.get("sample"):
        return "TABLESAMPLE gives other rows each time; use the action table.sample"
    if kind is not None:
        return _refused_expression(node, str(kind), known)
    if not isinstance(type_, str):
        return None
    if type_ in NAMED or type_.endswith("_QUERY_NODE"):
        return NAMED.get(type_, "a query only reads its tables")
    if (type_.endswith("_NODE") and type_ not in QUERIES) or (type_.endswith("_MODIFIER") and type_ not in MODIFIERS):
        return f"{type_} is not possible in a query"
    if "query_location" in node and "alias" in node and type_ not in TABLES:
        return f"{type_} is not possible in a query"
    match type_:
        case "BASE_TABLE":
            return _refused_table(node)
        case "TABLE_FUNCTION":
            return _refused_rows(node["function"], known)
        case "PIVOT" if any(pivot.get("subquery") or pivot.get("pivot_enum") for pivot in node.get("pivots", ())):
            return "PIVOT needs its values listed after IN"
        case "JOIN" if node.get("ranking_expression") or node.get("nearest_approx"):
            return "a join by nearest rows is not possible in a query"
    return None


def _refused_table(node: Node) -> str | None:
    path = (node.get("qualified_name") or {}).get("path") or [node["table_name"]]
    if len(path) != 1 or node.get("schema_name") or node.get("catalog_name"):
        return f"a query reads the tables that it is given, by their plain names, not {'.'.join(map(str, path))}"
    if node.get("at_clause"):
        return "tables have no versions: AT is not possible in a query"
    return None


def _refused_rows(node: Node, known: Collection[str]) -> str | None:
    """Returns why a function that returns a table is not allowed."""
    name = function_name(node) if node.get("class") == "FUNCTION" else None
    if name not in functions.TABLES:
        return f"the function {name or 'here'} is not possible in FROM; possible: {', '.join(sorted(functions.TABLES))}"
    if name != "unnest" and any(_is_growing(item) for item in nodes(node["arguments"])):
        return f"the limits of {name} are computed while the query is checked: use numbers"
    return None if name in ("range", "generate_series") else _refused_expression(node, "FUNCTION", known)


def _refused_expression(node: Node, kind: str, known: Collection[str]) -> str | None:
    if kind not in EXPRESSIONS:
        return f"{kind} is not possible in a query"
    if kind == "COLUMN_REF":
        names = node["column_names"]
        word = str(names[0]).lower() if len(names) == 1 else ""
        return _outside(word) if word in functions.OUTSIDE and word not in known else None
    if kind not in ("FUNCTION", "WINDOW"):
        return None
    name = function_name(node)
    if name is None or node.get("schema") or node.get("catalog"):
        return "functions are called without a schema"
    if name in functions.OUTSIDE:
        return _outside(name)
    if name not in FUNCTIONS:
        return f"the function {name} is not possible in a query"
    arguments = [item["expression"] for item in node.get("arguments", ())]
    if name == "age" and len(arguments) < 2:
        return "age with one argument depends on the current day; give it two"
    if name in AGGREGATING and not (len(arguments) > 1 and _text(arguments[1]) in functions.AGGREGATES):
        return f"the second argument of {name} is the name of an aggregate, as text"
    if name in functions.GROWING and not _is_bounded(name, arguments):
        return f"{name} of constants is computed while the query is checked: write its result, or use smaller numbers"
    return None


def _outside(name: str) -> str:
    return f"{name} depends on the time or the session, not on the tables; pass the value in `params`"


def _is_growing(node: Node) -> bool:
    return node.get("class") == "FUNCTION" and function_name(node) in functions.GROWING


def _is_bounded(name: str, arguments: list[Node]) -> bool:
    """Returns True when a call depends on a column, so that it is not computed before the run, or is small."""
    if any(_depends_on_rows(argument) for argument in arguments):
        return True
    limit = LONGEST.get(name, MOST_COPIES)
    values = [_literal(argument) for argument in arguments]
    return name not in ("format", "printf") and all(
        value is not None and (abs(value) <= limit if isinstance(value, int | float) else len(value) <= 1_000)
        for value in values
    )


def _depends_on_rows(node: Any) -> bool:
    """Returns True when a column or a query is below a node, the arguments of lambdas aside."""
    if isinstance(node, list):
        return any(map(_depends_on_rows, node))
    if not isinstance(node, dict) or node.get("class") == "LAMBDA":
        return False
    if node.get("class") in ("COLUMN_REF", "SUBQUERY", "POSITIONAL_REFERENCE", "STAR"):
        return True
    return any(_depends_on_rows(child) for child in node.values() if isinstance(child, dict | list))


def _literal(node: Node) -> float | str | None:
    """Returns the value of a number or a text; None for anything else."""
    if node.get("class") == "CAST":
        return _literal(node["child"])
    if node.get("class") == "FUNCTION" and function_name(node) == "-" and len(node["arguments"]) == 1:
        return _literal(node["arguments"][0]["expression"])
    if node.get("class") != "CONSTANT":
        return None
    text = str((node.get("literal") or {}).get("text", ""))
    try:
        return float(text)
    except ValueError:
        return text


def _text(node: Node) -> str:
    value = (node.get("literal") or {}).get("text", "") if node.get("class") == "CONSTANT" else ""
    return str(value).lower()


def _undefined(tree: Node, given: frozenset[str]) -> Iterator[Node]:
    """Yields the tables that are neither given nor defined by WITH where they are named.

    Outside its part of the query, a name of WITH could be one of DuckDB's own tables.
    """
    waiting: list[tuple[Any, frozenset[str]]] = [(tree, given)]
    while waiting:
        item, names = waiting.pop()
        if isinstance(item, list):
            waiting.extend((child, names) for child in item)
        if not isinstance(item, dict):
            continue
        if item.get("type") == "BASE_TABLE" and (name := _plain_name(item)) and name.lower() not in names:
            yield item
        for entry in (item.get("cte_map") or {}).get("map", ()):
            waiting.append((entry["value"], names))
            names = names | {str(entry["key"]).lower()}
        if item.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE") and item.get("cte_name"):
            names = names | {str(item["cte_name"]).lower()}
        waiting.extend((child, names) for key, child in item.items() if key != "cte_map")


def _plain_name(node: Node) -> str:
    """Returns the name of a table without a schema. Empty for one with a schema."""
    path = (node.get("qualified_name") or {}).get("path") or [node["table_name"]]
    return str(path[0]) if len(path) == 1 else ""


def _aliases(tree: Node) -> Iterator[str]:
    """Yields the names that the query gives to columns."""
    for node in nodes(tree):
        if node.get("alias") and "class" in node:
            yield str(node["alias"]).lower()
        yield from (str(name).lower() for name in node.get("column_name_alias") or ())
        entries = (node.get("cte_map") or {}).get("map", ())
        yield from (str(name).lower() for entry in entries for name in entry["value"].get("aliases") or ())


def _multiplied(tree: Node) -> int:
    """Returns how many copies of a column a query can have at most, by its stars."""
    return prod(
        max(1, sum(1 for item in node["select_list"] if item.get("class") == "STAR"))
        * sum(1 for item in nodes(node.get("from_table")) if item.get("type") in ("BASE_TABLE", "SUBQUERY"))
        for node in nodes(tree)
        if node.get("type") == "SELECT_NODE" and any(item.get("class") == "STAR" for item in node["select_list"])
        if node.get("from_table", {}).get("type") not in ("EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION")
    )
