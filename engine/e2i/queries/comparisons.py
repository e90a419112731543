"""Finds comparisons of columns that are not compared as they are. In: a bound plan. Out: findings.

DuckDB converts a number to a time, and a text to a number, where the two are compared. For a key that is a mistake:
the join has no rows, or fails on the first text that is no number. It also converts an integer to a floating-point
number beside it: keys above 2^53 are then equal that are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from e2i.queries import types
from e2i.queries.syntax import Finding, Node, nodes, offset

Explicit = Callable[[], frozenset[int]]
"""Returns the positions of the casts that are written in the query."""
EQUALITIES = frozenset(
    f"COMPARE_{kind}" for kind in ("EQUAL", "NOTEQUAL", "DISTINCT_FROM", "NOT_DISTINCT_FROM", "IN", "NOT_IN")
)


def check(plan: Node, text: str, casts: Explicit) -> Iterator[Finding]:
    """Yields a finding for each comparison of two columns of unlike types, and each equality that would be rounded."""
    for left, right, is_equality in _compared(plan):
        (one, first), (other, second) = _source(left), _source(right)
        if first is None or second is None or "NULL" in first or "NULL" in second:
            continue
        found = _unlike(first, second) or (is_equality and _rounded(first, second))
        if not found or any(node["query_location"] in casts() for node in (one, other) if node):
            continue
        place = next((at for node in (one, other) if node and (at := offset(node, text)) is not None), None)
        yield Finding("bad-query", found[0], place, found[1])


def _unlike(first: str, second: str) -> tuple[str, str] | None:
    """Returns what is wrong with a comparison of these types, and what to do."""
    one, other = types.family_of(first), types.family_of(second)
    if one == other:
        return None
    return f"a {one} ({first}) is compared with a {other} ({second})", "cast one of them, or compare other columns"


def _rounded(first: str, second: str) -> tuple[str, str] | None:
    if not types.is_rounded(first, second):
        return None
    message = f"a {first} and a {second} are compared as floating-point numbers, where different values can be equal"
    return message, "cast one of them: to BIGINT for keys, to DOUBLE where equal after rounding is meant"


def _compared(plan: Node) -> Iterator[tuple[Node, Node, bool]]:
    """Yields both sides of each comparison, and whether it is one of equal values."""
    for node in nodes(plan):
        if "comparison" in node and "left" in node:
            yield node["left"], node["right"], node["comparison"] in EQUALITIES
        elif str(node.get("type", "")).startswith("COMPARE_") and len(node.get("children") or ()) > 1:
            first, *others = node["children"]  # of BETWEEN two, of IN any number
            yield from ((first, other, node["type"] in EQUALITIES) for other in others)


def _source(expression: Any) -> tuple[Node | None, str | None]:
    """Returns the cast of a column, if there is one, and the type of the column; None for another expression."""
    cast = None
    if expression.get("type") == "OPERATOR_CAST" and expression.get("children"):
        cast, expression = expression, expression["children"][0]
    if expression.get("expression_class") != "BOUND_REF":
        return cast, None
    return cast, _named(expression["return_type"])


def _named(kind: Node) -> str:
    """Returns the name of a type, of a decimal with its digits."""
    about = kind.get("type_info") or {}
    return f"DECIMAL({about['width']},{about['scale']})" if kind["id"] == "DECIMAL" else str(kind["id"])
