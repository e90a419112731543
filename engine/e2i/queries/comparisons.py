"""Finds comparisons of columns that are never equal as they are. In: a bound plan. Out: findings.

DuckDB converts a number to a time, and a text to a number, where the two are compared. For a key that is a mistake:
the join has no rows, or fails on the first text that is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from e2i.queries import types
from e2i.queries.syntax import Finding, Node, nodes, offset

Explicit = Callable[[], frozenset[int]]
"""Returns the positions of the casts that are written in the query."""


def check(plan: Node, text: str, casts: Explicit) -> Iterator[Finding]:
    """Yields a finding for each comparison of two columns of different families of types."""
    for left, right in _compared(plan):
        (one, first), (other, second) = _source(left), _source(right)
        if first is None or second is None or types.family_of(first) == types.family_of(second):
            continue
        if (
            "NULL" in first
            or "NULL" in second
            or any(node["query_location"] in casts() for node in (one, other) if node)
        ):
            continue
        message = f"a {types.family_of(first)} ({first}) is compared with a {types.family_of(second)} ({second})"
        place = next((at for node in (one, other) if node and (at := offset(node, text)) is not None), None)
        yield Finding("bad-query", message, place, "cast one of them, or compare other columns")


def _compared(plan: Node) -> Iterator[tuple[Node, Node]]:
    for node in nodes(plan):
        if "comparison" in node and "left" in node:
            yield node["left"], node["right"]
        elif str(node.get("type", "")).startswith("COMPARE_") and len(node.get("children") or ()) == 2:
            yield node["children"][0], node["children"][1]


def _source(expression: Any) -> tuple[Node | None, str | None]:
    """Returns the cast of a column, if there is one, and the type of the column; None for another expression."""
    cast = None
    if expression.get("type") == "OPERATOR_CAST" and expression.get("children"):
        cast, expression = expression, expression["children"][0]
    if expression.get("expression_class") != "BOUND_REF":
        return cast, None
    return cast, str(expression["return_type"]["id"])
