"""Follows columns through a bound query. In: DuckDB's logical plan as JSON, and the tables. Out: a lineage per column.

The plan is complete: stars, aliases, common table expressions and subqueries are resolved to positions. A column of a
result counts as made from another only if a row's own value, or one among several rows with it, can be in it. A value
of strictly earlier or later rows (LAG, a frame without the current row, a strict ASOF JOIN) is a new column: the target
of earlier rows is a legitimate feature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from e2i.catalog.columns import KnownTable
from e2i.catalog.lineage import Lineage

Row = list[Lineage]
Operator = Mapping[str, Any]
KEPT = frozenset({"LOGICAL_ORDER_BY", "LOGICAL_LIMIT", "LOGICAL_TOP_N", "LOGICAL_DISTINCT", "LOGICAL_FILTER"})
"""Operators whose columns are those of their input."""
JOINS = frozenset(
    {"LOGICAL_COMPARISON_JOIN", "LOGICAL_ANY_JOIN", "LOGICAL_CROSS_PRODUCT", "LOGICAL_ASOF_JOIN", "LOGICAL_DELIM_JOIN"}
)
NOT_VALUES = frozenset({"function_data", "bind_info", "type_info", "return_type", "value", "arguments"})
"""Parts of an expression that have no columns of the operator's input."""
CONSTANT = Lineage()


UNTYPED = "?"
"""Among the moments of a column: its type is not known, and so are those of all columns made from it."""


def untyped(tables: Mapping[str, KnownTable], plan: Operator, names: Iterable[str]) -> frozenset[str]:
    """Returns the columns of the result whose types are not known; all of them where the plan cannot be followed."""
    listed = list(names)
    marked = {
        name: KnownTable(
            table.columns,
            {column: Lineage(known_at=frozenset([UNTYPED])) for column, kind in table.columns.items() if kind is None},
        )
        for name, table in tables.items()
    }
    found = of(plan, marked, listed)
    return frozenset(name for name in listed if found is None or UNTYPED in found[name].known_at)


class UnfollowedError(Exception):
    """The plan has an operator whose columns are not known here."""


def of(plan: Operator, tables: Mapping[str, KnownTable], names: Iterable[str]) -> dict[str, Lineage] | None:
    """Returns the lineage of each column of the result; None when the plan cannot be followed."""
    try:
        found = _Follower(tables).row(plan)
    except (UnfollowedError, IndexError, KeyError, TypeError):  # of another version, or not described completely
        return None
    listed = list(names)
    return dict(zip(listed, found, strict=True)) if len(listed) == len(found) else None


class _Follower:
    """The state of one walk: the rows of common table expressions, and a counter for new columns."""

    def __init__(self, tables: Mapping[str, KnownTable]) -> None:
        self.tables = tables
        self.shared: dict[int, Row] = {}
        self.fresh = count()

    def row(self, operator: Operator) -> Row:
        """Returns the lineage of each column that an operator returns."""
        kind = operator["type"]
        if kind == "LOGICAL_MATERIALIZED_CTE":
            self.shared[operator["table_index"]] = self.row(operator["children"][0])
            return self.row(operator["children"][1])
        if kind == "LOGICAL_RECURSIVE_CTE":
            return self._recursive(operator)
        if kind == "LOGICAL_CTE_REF":
            return self.shared[operator["cte_index"]]
        children = [self.row(child) for child in operator.get("children", ())]
        if kind in KEPT:
            row = _picked(children[0], operator.get("projection_map"))
            for condition in _conditions(operator, children[0]):
                row = [lineage.part(condition) for lineage in row]
            return row
        if kind in JOINS:
            return self._joined(operator, *children)
        simple: dict[str, Callable[[Operator, list[Row]], Row]] = {
            "LOGICAL_GET": self._read,
            "LOGICAL_PROJECTION": self._projected,
            "LOGICAL_AGGREGATE_AND_GROUP_BY": self._grouped,
            "LOGICAL_WINDOW": self._windowed,
            "LOGICAL_UNNEST": self._unnested,
            "LOGICAL_EXPRESSION_GET": self._listed,
            "LOGICAL_UNION": self._united,
            "LOGICAL_EXCEPT": self._united,
            "LOGICAL_INTERSECT": self._united,
            "LOGICAL_DUMMY_SCAN": lambda _operator, _children: [CONSTANT],
        }
        if kind not in simple:
            raise UnfollowedError(kind)
        return simple[kind](operator, children)

    def _read(self, operator: Operator, children: list[Row]) -> Row:
        if children:
            raise UnfollowedError("a table function of rows")
        data = operator.get("function_data") or {}
        if "table" not in data:
            return [CONSTANT for _ in operator["names"]]
        table = self.tables[str(data["table"]).lower()]
        found = [table.lineage(operator["names"][item["index"]]) for item in operator["column_indexes"]]
        return _picked(found, operator.get("projection_ids"))

    def _projected(self, operator: Operator, children: list[Row]) -> Row:
        return [_of_row(expression, children[0]) for expression in operator["expressions"]]

    def _grouped(self, operator: Operator, children: list[Row]) -> Row:
        (child,) = children
        groups = [_of_row(expression, child) for expression in operator["groups"]]
        found = [self._several(expression, child) for expression in operator["expressions"]]
        return [*groups, *found, *(CONSTANT for _ in operator.get("grouping_functions") or ())]

    def _windowed(self, operator: Operator, children: list[Row]) -> Row:
        (child,) = children
        return [*child, *(self._window(expression, child) for expression in operator["expressions"])]

    def _window(self, expression: Any, child: Row) -> Lineage:
        return self._apart(child) if _is_of_others(expression) else self._several(expression, child)

    def _unnested(self, operator: Operator, children: list[Row]) -> Row:
        (child,) = children
        return [*child, *(_of_row(expression, child) for expression in operator["expressions"])]

    def _listed(self, operator: Operator, children: list[Row]) -> Row:
        rows = [[_of_row(value, children[0]) for value in row] for row in operator["expressions"]]
        return [Lineage.of(column) for column in zip(*rows, strict=True)]

    def _united(self, operator: Operator, children: list[Row]) -> Row:
        return [Lineage.of(column) for column in zip(*children, strict=True)]

    def _recursive(self, operator: Operator) -> Row:
        first, again = operator["children"]
        row = self.row(first)
        for _ in range(1 + len(row)):  # until nothing is added: a column passes through each other at most once
            self.shared[operator["table_index"]] = row
            merged = self._united(operator, [row, self.row(again)])
            if merged == row:
                break
            row = merged
        self.shared[operator["table_index"]] = row
        return row

    def _joined(self, operator: Operator, left: Row, right: Row) -> Row:
        left, right = (
            _picked(left, operator.get("left_projection_map")),
            _picked(right, operator.get("right_projection_map")),
        )
        kind = operator.get("join_type", "INNER")
        if kind in ("SEMI", "ANTI"):
            return left
        if kind in ("RIGHT_SEMI", "RIGHT_ANTI"):
            return right
        if kind == "MARK":
            compared = [(left, condition["left"]) for condition in operator["conditions"]]
            compared += [(right, condition["right"]) for condition in operator["conditions"]]
            return [*left, self._new(_of_row(expression, row) for row, expression in compared)]
        if operator["type"] == "LOGICAL_ASOF_JOIN" and any(
            condition.get("comparison") in ("COMPARE_GREATERTHAN", "COMPARE_LESSTHAN")
            for condition in operator["conditions"]
        ):
            right = [self._apart([lineage]) for lineage in right]
        return [*left, *right]

    def _several(self, expression: Any, child: Row) -> Lineage:
        """Returns the lineage of a value that is made of several rows."""
        return self._new(child[index] for index in _references(expression))

    def _apart(self, sources: Iterable[Lineage]) -> Lineage:
        """Returns the lineage of a value of other rows: a new column, whose type may be unknown."""
        is_untyped = any(UNTYPED in source.known_at for source in sources)
        return self._new([Lineage(known_at=frozenset([UNTYPED]))] if is_untyped else [])

    def _new(self, sources: Iterable[Lineage] = ()) -> Lineage:
        return Lineage.new(f"#{next(self.fresh)}", sources)


def _of_row(expression: Any, child: Row) -> Lineage:
    return Lineage.of(child[index] for index in dict.fromkeys(_references(expression)))


def _conditions(operator: Operator, child: Row) -> Iterator[str]:
    """Yields the conditions that an operator keeps rows by. Equal conditions on equal columns have equal names.

    That a value is not null is no condition: it leaves the rows that matter.
    """
    if operator["type"] in ("LOGICAL_LIMIT", "LOGICAL_TOP_N"):
        yield _digest({key: value for key, value in operator.items() if key != "children"}, child)
    waiting = list(operator.get("expressions") or ()) if operator["type"] == "LOGICAL_FILTER" else []
    while waiting:
        expression = waiting.pop()
        if expression.get("type") == "CONJUNCTION_AND":
            waiting += expression.get("children") or ()
        elif expression["type"] not in ("OPERATOR_IS_NOT_NULL", "VALUE_CONSTANT"):
            yield _digest(expression, child)


def _digest(value: Any, child: Row) -> str:
    text = json.dumps(_canonical(value, child), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any, child: Row) -> Any:
    """Returns an expression with the lineage of its columns, without the places where it was written."""
    if isinstance(value, list):
        return [_canonical(item, child) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("expression_class") == "BOUND_REF":
        return sorted(child[value["index"]].roots)
    return {
        key: _canonical(item, child) for key, item in value.items() if not key.startswith(("query_location", "alias"))
    }


def _picked(row: Row, places: Any) -> Row:
    return [row[place] for place in places] if places else row


def _references(expression: Any) -> Iterator[int]:
    """Yields the positions of the columns in an expression."""
    if isinstance(expression, list):
        for item in expression:
            yield from _references(item)
    elif isinstance(expression, dict):
        match expression.get("expression_class"):
            case "BOUND_REF":
                yield expression["index"]
            case "BOUND_COLUMN_REF":
                raise UnfollowedError("a column of another query")
            case _:
                for key, item in expression.items():
                    if key not in NOT_VALUES and isinstance(item, dict | list):
                        yield from _references(item)


def _is_of_others(expression: Operator) -> bool:
    """Returns True when a window function never returns a value of the current row."""
    if expression["type"] in ("WINDOW_LAG", "WINDOW_LEAD"):
        offset = expression.get("offset_expr")
        return offset is None or _constant(offset) not in (None, 0)
    if expression.get("exclude_clause") in ("CURRENT_ROW", "GROUP"):
        return True
    before = expression.get("end") == "EXPR_PRECEDING_ROWS" and (_constant(expression.get("end_expr")) or 0) >= 1
    after = expression.get("start") == "EXPR_FOLLOWING_ROWS" and (_constant(expression.get("start_expr")) or 0) >= 1
    return before or after


def _constant(expression: Any) -> int | None:
    """Returns the value of a constant integer, also through casts."""
    while isinstance(expression, dict) and expression.get("type") == "OPERATOR_CAST" and expression.get("children"):
        expression = expression["children"][0]
    if not isinstance(expression, dict) or expression.get("expression_class") != "BOUND_CONSTANT":
        return None
    value = (expression.get("value") or {}).get("value")
    return value if isinstance(value, int) else None
