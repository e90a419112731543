"""Assign rows to splits. In: a column and fractions. Out: an array of 0 (train), 1 (validation) and 2 (test)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Parts = npt.NDArray[np.intp]
Shares = tuple[float, float, float]
BLOCK = 100
"""Rows that are shuffled together by ``by_chance``."""


def by_entity(column: pd.Series[Any], shares: Shares, seed: int) -> Parts:
    """Assign each entity by a keyed hash (SipHash) of its value.

    The result depends only on the value and the seed, not on the order of rows or on other rows. An entity therefore
    never moves from test to train when the table grows. Sizes are near the fractions, not exact. Raises StepError when
    an entity is missing.
    """
    import numpy as np
    import pandas as pd

    require_present(column, "entity")
    codes, entities = pd.factorize(column)
    text = np.asarray([_canonical(entity) for entity in entities], dtype=object)
    hashed = pd.util.hash_array(text, hash_key=f"{seed:016d}", categorize=False)
    return _cut(hashed / float(2**64), shares)[codes]


def by_time(column: pd.Series[Any], shares: Shares) -> Parts:
    """Assign each time in order. Equal times stay together, so sizes are as near the fractions as that allows.

    Raises StepError when a time is missing, or the column contains neither times nor numbers.
    """
    import numpy as np
    import pandas as pd

    require_present(column, "time")
    if not (pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_numeric_dtype(column)):
        raise StepError(
            f"column {column.name!r} has {column.dtype} values, which have no order in time",
            code="not-a-time",
            hint="add it to parse_dates of data.load",
        )
    codes, _ = pd.factorize(column, sort=True)
    counts = np.bincount(codes)
    middles = (np.cumsum(counts) - counts / 2) / max(len(column), 1)
    return _cut(middles, shares)[codes]


def by_chance(rows: int, shares: Shares, seed: int) -> Parts:
    """Assign each row by a seeded permutation of its block of rows.

    Sizes are exact for every full block, and near the fractions for the last one. Rows that are added at the end do not
    move earlier rows to another table.
    """
    import numpy as np

    blocks = [np.random.default_rng((seed, index)).permutation(BLOCK) for index in range(-(-rows // BLOCK))]
    order = np.concatenate(blocks)[:rows] if blocks else np.empty(0)
    return _cut((order + 0.5) / BLOCK, shares)


def sample(rows: int, count: int, seed: int) -> Parts:
    """Return the ascending positions of ``count`` rows chosen at random."""
    import numpy as np

    return np.sort(np.random.RandomState(seed).choice(rows, size=count, replace=False))


def prove(keys: Mapping[str, pd.Series[Any]], strategy: str) -> None:
    """Check the finished split by the keys of each table. Raises StepError when an entity or a time is in two."""
    if strategy == "time":
        for (earlier, before), (later, after) in pairwise(keys.items()):
            if not before.max() < after.min():
                raise StepError(f"{later} is not entirely after {earlier} in {after.name!r}", code="leakage")
        return
    values = {name: set(column.unique()) for name, column in keys.items()}
    for one, other in combinations(values, 2):
        shared = values[one] & values[other]
        if shared:
            raise StepError(f"{len(shared)} values of {keys[one].name!r} are in both {one} and {other}", code="leakage")


def _canonical(entity: Any) -> str:
    """Return the text of an entity's value, the same for every type that can hold it: 7 and 7.0 are one entity."""
    if isinstance(entity, bool) or not hasattr(entity, "__float__"):
        return str(entity)
    return str(int(entity)) if math.isfinite(float(entity)) and int(entity) == entity else str(entity)


def _cut(positions: npt.NDArray[np.float64], shares: Shares) -> Parts:
    """Return the split of each position in [0, 1]."""
    import numpy as np

    return np.searchsorted([shares[0], shares[0] + shares[1]], positions, side="right")


def require_present(column: pd.Series[Any], what: str) -> None:
    """Raise StepError when a key is missing in some rows."""
    missing = int(column.isna().sum())
    if missing:
        raise StepError(
            f"{missing} rows have no {what}: {column.name!r} is missing, so they could leak into two tables",
            code="missing-values",
            hint=f"drop them with data.select, where: [{{column: {column.name}, op: not_null}}]",
        )
