"""Measure the work of a step by its inputs, to scale what it took before. Pure.

In: an action and the parameters of a call. Out: ``Work``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from e2i.catalog import marks
from e2i.catalog.action import Action

COUNTED = ("trials", "rows")
"""Amounts that multiply the work."""


class Work(Struct, frozen=True):
    """The size of the work of a step."""

    variant: str
    """What else decides how long it takes: the algorithm, the function."""
    cells: int
    """Rows times columns of all input tables."""
    amount: int
    """The trials or rows that are asked for; 1 for other actions."""

    @property
    def size(self) -> int:
        return max(self.cells, 1) * max(self.amount, 1)


def of_call(action: Action, params: Any) -> Work:
    """Returns the work of a call with these parameters, which may have values that are not known yet."""
    return Work(variant(params), sum(cells for _, cells in tables(params)), amount(action, params) or 1)


def variant(params: Any) -> str:
    """Returns what distinguishes calls of one action: algorithm, or file and function."""
    if not isinstance(params, Mapping):
        return ""
    named = (params.get(name) for name in ("algorithm", "estimator", "file", "function"))
    return " ".join(text for text in named if isinstance(text, str))


def amount(action: Action, params: Any) -> int | None:
    """Returns the product of the amounts that a call asks for; None when one is not known, or there is none."""
    found = None
    if not any(isinstance(mark, marks.Budget) for _, mark in marks.of(action.params)) or not isinstance(params, dict):
        return None
    for _, mark, value in marks.found(action.params, params):
        if isinstance(mark, marks.Budget) and mark.of in COUNTED:
            if not isinstance(value, int):
                return None
            found = (found or 1) * max(value, 1)
    return found


def tables(value: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Yields the tables in plain data, with their paths and their numbers of cells."""
    match value:
        case {"type": "table", "rows": int(rows), "columns": columns}:
            yield path, rows * max(len(columns), 1)
        case Mapping():
            for key, item in value.items():
                yield from tables(item, f"{path}.{key}" if path else str(key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from tables(item, f"{path}.{index}")
