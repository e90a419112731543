"""Find parts of a table with large errors by a shallow tree. In: rows, their errors. Out: parts, described in words.

The tree is grown on the rows that it is given and applied to all (Athey and Imbens 2016: honest trees judge their
leaves on other rows, since the leaves of a tree look worse on the rows that they were chosen by).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.tools.model import slicing

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

VALUES = 20
"""Most values of a column of texts that a condition can name, the most frequent ones."""
Steps = tuple[tuple[int, bool], ...]
"""The nodes above a leaf, and whether it is to the left of each."""
LARGEST = 3e38
"""Trees compare 32-bit numbers."""


class Question(Struct, frozen=True):
    """A column of the tree: a number or a time to compare, or a value (``is_value``) that a row has or has not."""

    column: str
    is_value: bool = False
    value: str = ""
    is_time: bool = False
    has_nulls: bool = False


class Region(Struct, frozen=True, eq=False):
    """A leaf of the tree: its conditions in words, and its rows as positions."""

    text: str
    places: Matrix


class Condition(Struct):
    """What the path to a leaf says of one question. Bounds are half-open: ``low`` < number ≤ ``high``."""

    low: float | None = None
    high: float | None = None
    missing: bool = True


def find(
    frame: pd.DataFrame, columns: Sequence[str], errors: Matrix, grown_on: Matrix, *, depth: int, least: int
) -> list[Region]:
    """Return the leaves of a tree of that depth. ``errors`` (n,) are of all rows, ``grown_on`` are positions."""
    import numpy as np
    from sklearn.tree import DecisionTreeRegressor

    asked, matrix = _encode(frame, columns, grown_on)
    if not asked:
        return []
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=max(least, 1), random_state=0)
    tree.fit(matrix[grown_on], errors[grown_on])
    leaves = tree.apply(matrix)
    paths = dict(_paths(tree.tree_, 0, ()))
    found = ((int(leaf), _words(asked, tree.tree_, paths[int(leaf)])) for leaf in np.unique(leaves))
    return [Region(text, np.flatnonzero(leaves == leaf)) for leaf, text in found if text]


def _encode(frame: pd.DataFrame, columns: Sequence[str], grown_on: Matrix) -> tuple[list[Question], Matrix]:
    """Return the questions and a matrix (n, q). A column whose value never changes asks nothing."""
    import numpy as np
    import pandas as pd

    asked: list[Question] = []
    parts: list[Matrix] = []
    for name in columns:
        values = frame[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            times = values.to_numpy(dtype="datetime64[ns]")
            numbers = np.where(np.isnat(times), np.nan, times.astype(np.int64).astype(np.float64))
            asked.append(Question(name, is_time=True, has_nulls=bool(np.isnan(numbers).any())))
            parts.append(numbers)
        elif slicing.is_number(values):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            asked.append(Question(name, has_nulls=bool(np.isnan(numbers).any())))
            parts.append(np.clip(numbers, -LARGEST, LARGEST))
        else:
            for text, inside in _values(values):
                asked.append(Question(name, is_value=True, value=text))
                parts.append(inside.astype(np.float64))
    varied = [index for index, part in enumerate(parts) if len(np.unique(part[grown_on])) > 1]
    matrix = np.column_stack([parts[index] for index in varied]) if varied else np.empty((len(frame), 0))
    return [asked[index] for index in varied], matrix


def _values(values: pd.Series[Any]) -> Iterator[tuple[str, Matrix]]:
    counts = values.value_counts(sort=True)
    known = values.notna().to_numpy()
    for value in sorted(counts.index[:VALUES], key=str):
        yield slicing.text(value), known & (values == value).fillna(False).to_numpy(dtype=bool)
    if not known.all():
        yield slicing.NULL, ~known


def _paths(tree: Any, node: int, path: Steps) -> Iterator[tuple[int, Steps]]:
    """Yield each leaf with the nodes above it, and whether it is to the left of each."""
    if tree.children_left[node] == -1:
        yield node, path
        return
    yield from _paths(tree, tree.children_left[node], (*path, (node, True)))
    yield from _paths(tree, tree.children_right[node], (*path, (node, False)))


def _words(asked: Sequence[Question], tree: Any, path: Sequence[tuple[int, bool]]) -> str:
    conditions: dict[int, Condition] = {}
    for node, is_left in path:
        place, edge = int(tree.feature[node]), float(tree.threshold[node])
        one = conditions.setdefault(place, Condition())
        one.missing = one.missing and bool(tree.missing_go_to_left[node]) == is_left
        if is_left:
            one.high = edge if one.high is None else min(one.high, edge)
        else:
            one.low = edge if one.low is None else max(one.low, edge)
    return " and ".join(_condition(asked[place], one) for place, one in conditions.items())


def _condition(asked: Question, one: Condition) -> str:
    if asked.is_value:
        return f"{asked.column} {'=' if one.low is not None else '≠'} {asked.value}"
    low, high = (_number(asked, bound) for bound in (one.low, one.high))
    if low and high:
        text = f"{low} < {asked.column} ≤ {high}"
    else:
        text = f"{asked.column} > {low}" if low else f"{asked.column} ≤ {high}"
    return f"({text} or null)" if one.missing and asked.has_nulls else text


def _number(asked: Question, bound: float | None) -> str:
    import pandas as pd

    if bound is None:
        return ""
    return pd.Timestamp(int(bound)).isoformat(sep=" ", timespec="seconds") if asked.is_time else f"{bound:.4g}"
