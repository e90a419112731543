"""Split a table by the expectations that its rows fail. In: rows, a suite, labels of rows. Out: tables.

A row is quarantined when it fails at least one of the expectations that count. Each row is in exactly one of the two
tables, in its old order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.great_expectations.suite import Expectation, Suite
from e2i.tools.great_expectations.validation import columns_of

if TYPE_CHECKING:
    import pyarrow as pa

Unexpected = Mapping[int, Sequence[int]]
"""Index of an expectation in its suite → the positions of the rows that fail it."""
SEPARATOR = "; "
"""Between the expectations that one row fails."""


class Split(Struct, frozen=True):
    """The rows that go on, and those that do not."""

    kept: pa.Table
    quarantined: pa.Table


def split(rows: pa.Table, suite: Suite, unexpected: Unexpected, counting: Collection[int], reason: str) -> Split:
    """Return the two parts. ``counting`` are the expectations whose rows are quarantined, ``reason`` a new column."""
    import numpy as np
    import pyarrow as pa

    reasons: dict[int, list[str]] = {}
    for index in sorted(counting):
        label = label_of(suite.expectations[index])
        for position in unexpected.get(index, ()):
            named = reasons.setdefault(int(position), [])
            if label not in named:
                named.append(label)
    if not reasons:
        return Split(rows, nothing(rows, reason))
    is_bad = np.zeros(rows.num_rows, dtype=bool)
    is_bad[list(reasons)] = True
    texts = pa.array([SEPARATOR.join(reasons[position]) for position in sorted(reasons)], pa.string())
    quarantined = rows.filter(pa.array(is_bad)).append_column(reason, texts)
    return Split(rows.filter(pa.array(~is_bad)), quarantined)


def require_new(reason: str, present: Collection[str]) -> None:
    """Raise StepError when the table has the column already that the quarantined rows get."""
    if reason in present:
        raise StepError(
            f"the table has a column {reason!r} already",
            code="duplicate-column",
            hint="choose another name with `reason_column`",
        )


def nothing(rows: pa.Table, reason: str) -> pa.Table:
    """Return the table of quarantined rows when there are none."""
    import pyarrow as pa

    none = rows.slice(0, 0)
    return none if reason in rows.column_names else none.append_column(reason, pa.array([], pa.string()))


def failures(rows: pa.Table, suite: Suite, unexpected: Unexpected) -> pa.Table:
    """Return a row for each row and each expectation that it fails, by row, then by expectation."""
    import pyarrow as pa

    found: list[dict[str, Any]] = []
    for index, positions in unexpected.items():
        item = suite.expectations[index]
        values = _values(rows, columns_of(item), positions)
        fixed = {
            "expectation": index + 1,
            "type": item.type,
            "columns": ", ".join(columns_of(item)),
            "severity": item.severity,
        }
        found += [
            {"row": int(position), **fixed, "value": value} for position, value in zip(positions, values, strict=True)
        ]
    found.sort(key=lambda one: (one["row"], one["expectation"]))
    kinds = {"row": pa.int64(), "expectation": pa.int64()}
    return pa.table({name: pa.array([one[name] for one in found], kinds.get(name, pa.string())) for name in COLUMNS})


COLUMNS = ("row", "expectation", "type", "columns", "severity", "value")
"""Columns of the table of failures."""


def label_of(item: Expectation) -> str:
    """Return the name of an expectation, with the columns that it checks."""
    return f"{item.type}({', '.join(columns_of(item))})"


def _values(rows: pa.Table, columns: Sequence[str], positions: Sequence[int]) -> list[str | None]:
    """Return the values of the checked columns as text. Of several columns, each with its name."""
    taken = rows.select([name for name in columns if name in rows.column_names]).take([int(one) for one in positions])
    texts = [[None if value is None else str(value) for value in column.to_pylist()] for column in taken.columns]
    if len(texts) == 1:
        return texts[0]
    names = taken.column_names
    return [
        ", ".join(f"{name} = {'null' if text is None else text}" for name, text in zip(names, row, strict=True))
        for row in zip(*texts, strict=True)
    ] or [None] * len(positions)
