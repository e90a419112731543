"""Finds results that depend on an order that the query does not set. In: a syntax tree. Out: findings.

The rows of a table without ORDER BY have no order: a join or a group may return them in another one when the data
grows. Where order shows in a value, or in which rows remain, the query must name it.
"""

from __future__ import annotations

from collections.abc import Iterator

from e2i.queries import functions
from e2i.queries.syntax import Finding, Node, function_name, nodes, offset

CODE = "query-order"


def check(tree: Node, query: str) -> Iterator[Finding]:
    """Yields a finding for everything whose result depends on the order of rows."""
    for node in nodes(tree):
        if message := _unordered(node):
            where = node if "query_location" in node else _first(_limit(node) or node)
            yield Finding(CODE, message, offset(where, query), "name the order that decides, down to a unique column")


def _unordered(node: Node) -> str | None:
    """Returns what in a node depends on the order of rows."""
    match node.get("class"):
        case "FUNCTION":
            name = function_name(node)
            if name in functions.ORDERED and not (node.get("order_bys") or {}).get("orders"):
                return f"{name} depends on the order of the rows: {name}(… ORDER BY …)"
            return None
        case "WINDOW":
            return _unordered_window(node)
    modifiers = {item["type"]: item for item in node.get("modifiers") or ()}
    ordered = "ORDER_MODIFIER" in modifiers
    if not ordered and ("LIMIT_MODIFIER" in modifiers or "LIMIT_PERCENT_MODIFIER" in modifiers):
        return "which rows LIMIT keeps depends on their order: add ORDER BY"
    if not ordered and (modifiers.get("DISTINCT_MODIFIER") or {}).get("distinct_on_targets"):
        return "which rows DISTINCT ON keeps depends on their order: add ORDER BY"
    if node.get("type") == "JOIN" and node.get("ref_type") == "POSITIONAL":
        return "a positional join depends on the order of the rows: join on a key"
    return None


def _unordered_window(node: Node) -> str | None:
    if node.get("orders") or node.get("arg_orders"):
        return None
    name = function_name(node) or ""
    if name in functions.POSITIONS or name in functions.ORDERED:
        return f"{name} depends on the order of the rows: OVER (… ORDER BY …)"
    if any(str(node.get(end, "")).endswith("_ROWS") for end in ("start", "end")):
        return "a frame of ROWS depends on their order: OVER (… ORDER BY …)"
    return None


def _limit(node: Node) -> Node | None:
    """Returns the number of rows that a query is limited to."""
    return next((item["limit"] for item in node.get("modifiers") or () if item.get("limit")), None)


def _first(node: Node) -> Node:
    """Returns the first part of a node whose position is known."""
    places = [item for item in nodes(node) if 0 <= item.get("query_location", -1) < 2**40]
    return min(places, key=lambda item: int(item["query_location"]), default=node)
