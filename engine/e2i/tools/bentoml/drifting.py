"""Measure how far the features of requests are from a reference. In: a reference, rows. Out: a PSI for each feature.

PSI: population stability index, Σ (p − q) · ln(p / q) over ten bins of equal frequency in the reference, or over its
most frequent values for text; missing values are a bin of their own. Below 0.1 is usually called stable, above 0.25
drifted. The router uses this module, so it imports no numpy.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
VALUES = 50
"""Most frequent values of a text feature that have a bin of their own."""
LEAST_SHARE = 1e-4
"""Share that an empty bin counts with."""
WINDOW = 5_000
"""Rows after which older ones are forgotten: between one and two windows are counted."""
PER_REQUEST = 200
"""Rows of one request that are counted, spread evenly."""
FEWEST = 50
"""Rows from which a PSI is reported."""


class Feature(Struct, frozen=True):
    """The bins of a feature and their counts in the reference. The last bin is that of missing values."""

    name: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] | None = None
    """Upper bounds of all bins of numbers but the last one of them."""
    values: tuple[str, ...] | None = None
    """Values with bins of their own; others share the bin before the last one."""


class Reference(Struct, frozen=True):
    """What the features were when the model was trained."""

    features: tuple[Feature, ...]
    rows: int
    schema_version: int = 1


def reference(frame: pd.DataFrame, names: Sequence[str]) -> Reference:
    """Return the reference of these columns of a table."""
    return Reference(tuple(_feature(frame[name], name) for name in names), len(frame))


def encoded(found: Reference) -> bytes:
    """Return the reference as JSON."""
    return msgspec.json.encode(found)


def read(path: Path) -> Reference | None:
    """Return the reference in a file; None when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reference)
    except FileNotFoundError:
        return None


class Drift:
    """Counts of the features in the last rows."""

    def __init__(self, against: Reference) -> None:
        self.against = against
        self._now = self._empty()
        self._before: list[list[int]] | None = None
        self._rows = 0
        self._places = [
            {value: place for place, value in enumerate(feature.values)} if feature.values is not None else None
            for feature in against.features
        ]

    @property
    def rows(self) -> int:
        """Return the number of rows that are counted."""
        return self._rows + (WINDOW if self._before is not None else 0)

    def add(self, rows: Sequence[Any]) -> None:
        """Count the rows of one request, given as mappings or in the order of the features."""
        step = max(math.ceil(len(rows) / PER_REQUEST), 1)
        for row in rows[::step]:
            for index, feature in enumerate(self.against.features):
                if isinstance(row, Mapping):
                    value = row.get(feature.name)
                else:
                    value = row[index] if isinstance(row, list) and index < len(row) else None
                self._now[index][self._bin(index, feature, value)] += 1
            self._rows += 1
            if self._rows >= WINDOW:
                self._before, self._now, self._rows = self._now, self._empty(), 0

    def psi(self) -> dict[str, float]:
        """Return the PSI of each feature; none for too few rows."""
        if self.rows < FEWEST:
            return {}
        found = {}
        for index, feature in enumerate(self.against.features):
            counts = self._now[index]
            if self._before is not None:
                counts = [a + b for a, b in zip(counts, self._before[index], strict=True)]
            found[feature.name] = psi(counts, feature.counts)
        return found

    def _empty(self) -> list[list[int]]:
        return [[0] * len(feature.counts) for feature in self.against.features]

    def _bin(self, index: int, feature: Feature, value: Any) -> int:
        last = len(feature.counts) - 1
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return last
        places = self._places[index]
        if places is not None:
            return places.get(_text(value), last - 1)
        if not isinstance(value, int | float):
            return last
        return bisect_left(feature.edges or (), value)


def psi(counts: Sequence[float], base: Sequence[float]) -> float:
    """Return the population stability index of two rows of counts over the same bins."""
    total, before = sum(counts) or 1, sum(base) or 1
    shares = [
        (max(count / total, LEAST_SHARE), max(other / before, LEAST_SHARE))
        for count, other in zip(counts, base, strict=True)
        if count or other
    ]
    return sum((now - then) * math.log(now / then) for now, then in shares)


def _feature(column: pd.Series[Any], name: str) -> Feature:
    import numpy as np
    import pandas as pd

    present = column.dropna()
    missing = int(len(column) - len(present))
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = present.to_numpy(dtype=np.float64)
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])) if len(numbers) else np.empty(0)
        counts = np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)
        return Feature(name, (*map(int, counts), missing), edges=tuple(map(float, edges)))
    from e2i.tools.bentoml.predicting import plain_value

    found = present.map(lambda value: _text(plain_value(value))).value_counts()
    listed = sorted(found.items(), key=lambda pair: (-pair[1], str(pair[0])))
    kept = listed[:VALUES]
    rest = sum(int(count) for _, count in listed[VALUES:])
    return Feature(
        name, (*(int(count) for _, count in kept), rest, missing), values=tuple(str(value) for value, _ in kept)
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
