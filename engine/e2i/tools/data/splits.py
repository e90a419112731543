"""Which part each row falls in: a column and shares go in, an array of 0 (train), 1 (validation) and 2 (test) out."""

from __future__ import annotations

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


def by_entity(column: pd.Series[Any], shares: Shares, seed: int) -> Parts:
    """A part for each entity by a keyed hash (SipHash) of its value.

    The part depends on the value and the seed only: neither on the order of rows nor on what else is in the table, so
    an entity does not wander from test into train when the table grows. Sizes are therefore near the shares, not exact.
    Raises StepError when an entity is missing.
    """
    import numpy as np
    import pandas as pd

    _require_present(column, "entity")
    codes, entities = pd.factorize(column)
    text = np.asarray([str(entity) for entity in entities], dtype=object)
    hashed = pd.util.hash_array(text, hash_key=f"{seed:016d}", categorize=False)
    return _cut(hashed / float(2**64), shares)[codes]


def by_time(column: pd.Series[Any], shares: Shares) -> Parts:
    """A part for each time, in order; equal times stay together, so sizes are as near the shares as that allows.

    Raises StepError when a time is missing, or the column holds neither times nor numbers.
    """
    import numpy as np
    import pandas as pd

    _require_present(column, "time")
    if not (pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_numeric_dtype(column)):
        raise StepError(
            f"column {column.name!r} holds {column.dtype} values, which have no order in time",
            code="not-a-time",
            hint="name it in parse_dates of data.load",
        )
    codes, _ = pd.factorize(column, sort=True)
    counts = np.bincount(codes)
    middles = (np.cumsum(counts) - counts / 2) / max(len(column), 1)
    return _cut(middles, shares)[codes]


def by_chance(rows: int, shares: Shares, seed: int) -> Parts:
    """A part for each row by a seeded permutation; sizes are exact to the row."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(rows)
    return _cut((order + 0.5) / max(rows, 1), shares)


def prove(frames: Mapping[str, pd.DataFrame], by: str, strategy: str) -> None:
    """Checks the finished parts, whatever made them. Raises StepError when an entity or a time is in two of them."""
    if strategy == "time":
        for (earlier, before), (later, after) in pairwise(frames.items()):
            if not before[by].max() < after[by].min():
                raise StepError(f"{later} does not lie wholly after {earlier} in {by!r}", code="leakage")
        return
    values = {name: set(frame[by].unique()) for name, frame in frames.items()}
    for one, other in combinations(values, 2):
        shared = values[one] & values[other]
        if shared:
            raise StepError(f"{len(shared)} values of {by!r} are in both {one} and {other}", code="leakage")


def _cut(positions: npt.NDArray[np.float64], shares: Shares) -> Parts:
    """The part of each position in [0, 1]."""
    import numpy as np

    return np.searchsorted([shares[0], shares[0] + shares[1]], positions, side="right")


def _require_present(column: pd.Series[Any], what: str) -> None:
    missing = int(column.isna().sum())
    if missing:
        raise StepError(
            f"{missing} rows have no {what}: {column.name!r} is missing, so nothing keeps them out of two parts",
            code="missing-values",
            hint=f"drop them with data.select, where: [{{column: {column.name}, op: not_null}}]",
        )
