"""Choose the rows of a sample that keeps entities whole, the order of rows, and the shares of classes. Pure.

In: an Arrow table, and what the sample must keep. Out: the positions of the chosen rows, ascending.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_CLASSES = 20
"""A column with more distinct values has no classes: it is a number or a name."""
LEAST_OF_CLASS = 5
"""Rows of each class that a sample of single rows has, as far as the table has them."""
CLOSE_ENOUGH = 0.01
"""Deviation of a class share at which no other entities are tried. The promise is twice that: 2 points."""
MOST_TRIES = 400


class Wanted(Struct, frozen=True):
    """What a sample is to be."""

    rows: int = 2_000
    by: str | None = None
    """The column of entities, each of which is taken whole or not at all."""
    stratify: str | None = None
    """The column of classes, whose shares the sample keeps."""
    seed: int = 0


def choose(table: pa.Table, wanted: Wanted, kept: AbstractSet[Any] | None = None) -> np.ndarray:
    """Returns the positions of the rows to take, ascending: all of them when the table has no more than ``wanted``.

    ``kept`` are entities that another table has been reduced to: only their rows are taken. A class share differs from
    that of all these rows by at most two points, if the sizes of the entities allow it.
    """
    import numpy as np

    positions = np.arange(table.num_rows)
    has_entities = wanted.by is not None and wanted.by in table.column_names
    if kept is not None and has_entities:
        positions = positions[_is_in(table.column(wanted.by), kept)]
    if len(positions) <= wanted.rows:
        return positions
    random = np.random.default_rng(wanted.seed)
    part = table.take(positions)
    classes = _classes(part, wanted.stratify)
    if has_entities:
        chosen = _of_entities(_codes(part.column(wanted.by)), classes, wanted.rows, random)
    else:
        chosen = _of_rows(classes, wanted.rows, random)
    found: np.ndarray = positions[chosen]
    return found


def shares(column: Any) -> dict[Any, float]:
    """Returns the share of each value of a column, between 0 and 1."""
    counted = column.value_counts().to_pylist() if len(column) else []
    return {item["values"]: item["counts"] / len(column) for item in counted}


def _of_rows(classes: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray:
    """Returns positions of single rows, of each class in proportion."""
    import numpy as np

    total, chosen = len(classes), []
    for one in range(int(classes.max()) + 1):
        own = np.flatnonzero(classes == one)
        count = max(round(rows * len(own) / total), min(len(own), LEAST_OF_CLASS))
        chosen.append(random.choice(own, min(count, len(own)), replace=False))
    return np.sort(np.concatenate(chosen))


def _of_entities(entities: np.ndarray, classes: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray:
    """Returns positions of the rows of whole entities.

    Entities are ordered by their class shares, so that each stretch of the order has its part of the sample.
    """
    import numpy as np

    counts = np.zeros((int(entities.max()) + 1, int(classes.max()) + 1))
    np.add.at(counts, (entities, classes), 1)
    sizes = counts.sum(axis=1)
    own = counts / sizes[:, None]
    order = np.lexsort((random.random(len(sizes)), *own.T))
    fraction, owed = rows / sizes.sum(), 0.0
    chosen = np.zeros(len(sizes), dtype=bool)
    for entity in order:
        owed += fraction * sizes[entity]
        if owed >= sizes[entity] / 2:
            chosen[entity] = True
            owed -= sizes[entity]
    if not chosen.any():
        chosen[order[len(order) // 2]] = True
    _balance(chosen, counts, rows)
    return np.flatnonzero(chosen[entities])


def _balance(chosen: np.ndarray, counts: np.ndarray, rows: int) -> None:
    """Adds and removes entities until the class shares are close to those of all, every class is there, or nothing
    helps. The sample stays between half and twice its size.
    """
    import numpy as np

    goal = counts.sum(axis=0) / counts.sum()
    for _ in range(MOST_TRIES):
        now = counts[chosen].sum(axis=0)
        worst = _deviation(now[None, :], goal)[0]
        if worst <= CLOSE_ENOUGH and (now > 0).all():
            return
        moved = now + np.where(chosen[:, None], -counts, counts)
        sizes = moved.sum(axis=1)
        after = np.where((sizes >= rows / 2) & (sizes <= rows * 2), _deviation(moved, goal), np.inf)
        best = int(after.argmin())
        if not after[best] < worst:
            return
        chosen[best] = ~chosen[best]


def _deviation(counts: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Returns the largest deviation of a class share, by row; a class that is missing counts as five points more."""
    import numpy as np

    found = np.abs(counts / np.maximum(counts.sum(axis=1), 1)[:, None] - goal).max(axis=1)
    result: np.ndarray = found + 0.05 * (counts == 0).sum(axis=1)
    return result


def _classes(table: pa.Table, name: str | None) -> np.ndarray:
    """Returns the class of each row as a number; one class without a column of classes."""
    import numpy as np

    none: np.ndarray = np.zeros(table.num_rows, dtype=int)
    if name is None or name not in table.column_names:
        return none
    codes = _codes(table.column(name))
    return codes if codes.max() < MOST_CLASSES else none


def _codes(column: Any) -> np.ndarray:
    """Returns the values of a column as numbers from 0; null is a value."""
    import pyarrow as pa

    encoded = pa.chunked_array(column).combine_chunks().dictionary_encode(null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    found: np.ndarray = encoded.indices.to_numpy(zero_copy_only=False).astype(int)
    return found


def _is_in(column: Any, kept: AbstractSet[Any]) -> np.ndarray:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    names = [value for value in kept if value is not None]
    try:
        found = pc.is_in(column, value_set=pa.array(names))
    except (pa.ArrowException, TypeError):  # of another type: compared as texts
        found = pc.is_in(column.cast(pa.string()), value_set=pa.array(list(map(str, names)), pa.string()))
    result: np.ndarray = np.asarray(found)
    return result
