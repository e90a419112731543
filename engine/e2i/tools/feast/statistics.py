"""Describe the values of features, and how far they drifted. In: columns. Out: figures, as JSON.

PSI: population stability index, Σ (p − q) · ln(p / q) over ten bins of equal frequency in the reference (for text and
truth values, over the values themselves); below 0.1 is usually called stable, above 0.25 drifted. KS: the two-sample
Kolmogorov–Smirnov statistic and its asymptotic p-value, for numbers and times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 10
MOST_VALUES = 50
"""Values of a text feature that its histogram lists, the most frequent ones."""
LEAST_SHARE = 1e-4
"""Share that an empty bin counts with in the PSI."""
Numbers = npt.NDArray[np.float64]


def describe(column: pa.ChunkedArray) -> dict[str, Any]:
    """Return count (rows), nulls, mean, deviation, min, max, quantiles, distinct and histogram of a feature.

    Mean, deviation (of the sample) and quantiles are None for text. A histogram of numbers has ``edges`` and
    ``counts``; of text, ``values`` and ``counts``. Times are in seconds since 1970, UTC.
    """
    present = column.drop_null()
    found: dict[str, Any] = {
        "count": len(column),
        "nulls": column.null_count,
        "distinct": pc.count_distinct(present).as_py(),
        "mean": None,
        "deviation": None,
        "min": None,
        "max": None,
        "quantiles": None,
    }
    if is_text(column.type):
        return {**found, "histogram": _counts(present)}
    values = numbers(column)
    if len(values):
        found |= {
            "mean": float(values.mean()),
            "deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "min": float(values.min()),
            "max": float(values.max()),
            "quantiles": dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True)),
        }
    counts, edges = np.histogram(values[np.isfinite(values)], BINS)
    return {**found, "histogram": {"edges": edges.tolist(), "counts": counts.tolist()}}


def drift(column: pa.ChunkedArray, reference: pa.ChunkedArray) -> dict[str, float | None]:
    """Return ``psi``, ``ks`` and ``ks_p_value`` of a feature against a reference; None without values on both sides."""
    nothing: dict[str, float | None] = {"psi": None, "ks": None, "ks_p_value": None}
    if is_text(column.type) or pa.types.is_boolean(column.type):
        now, before = column.drop_null().to_pylist(), reference.drop_null().to_pylist()
        if not now or not before:
            return nothing
        known = sorted(set(before) | set(now))
        shares = [np.array([side.count(value) for value in known], float) for side in map(_Counted, (now, before))]
        return {**nothing, "psi": psi(shares[0], shares[1])}
    values, base = numbers(column), numbers(reference)
    if not len(values) or not len(base):
        return nothing
    inner = np.unique(np.quantile(base, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(inner, side, side="left"), minlength=len(inner) + 1) for side in (values, base)
    ]
    statistic, p_value = kolmogorov_smirnov(values, base)
    return {"psi": psi(counts[0].astype(float), counts[1].astype(float)), "ks": statistic, "ks_p_value": p_value}


def psi(counts: Numbers, reference: Numbers) -> float:
    """Return the population stability index of two rows of counts over the same bins."""
    now, before = (np.maximum(side / side.sum(), LEAST_SHARE) for side in (counts, reference))
    return float(np.sum((now - before) * np.log(now / before)))


def kolmogorov_smirnov(values: Numbers, reference: Numbers) -> tuple[float, float]:
    """Return the greatest distance between two empirical distributions, and its asymptotic two-sided p-value."""
    first, second = np.sort(values), np.sort(reference)
    points = np.concatenate([first, second])
    shares = [np.searchsorted(side, points, side="right") / len(side) for side in (first, second)]
    statistic = float(np.abs(shares[0] - shares[1]).max())
    size = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = size * statistic
    if scaled < 0.2:  # the series converges slowly there, and the probability is 1 to twelve digits
        return statistic, 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return statistic, min(1.0, max(0.0, sum(terms)))


def numbers(column: pa.ChunkedArray) -> Numbers:
    """Return the values that are there as floats: truth values as 0 and 1, times as seconds. NaN is no value."""
    present = column.drop_null()
    if pa.types.is_timestamp(present.type):
        values = present.cast(pa.timestamp("us", present.type.tz)).cast(pa.int64()).to_numpy() / 1e6
    else:
        values = present.cast(pa.int8()).to_numpy() if pa.types.is_boolean(present.type) else present.to_numpy()
    found = np.asarray(values, dtype=np.float64)
    return found[~np.isnan(found)]


class _Counted:
    """Counts of values."""

    def __init__(self, values: list[Any]) -> None:
        self._counts: dict[Any, int] = {}
        for value in values:
            self._counts[value] = self._counts.get(value, 0) + 1

    def count(self, value: Any) -> int:
        return self._counts.get(value, 0)


def is_text(kind: pa.DataType) -> bool:
    return not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
    )


def _counts(present: pa.ChunkedArray) -> dict[str, list[Any]]:
    pairs = [(item["values"], item["counts"]) for item in pc.value_counts(present).to_pylist()]
    pairs.sort(key=lambda pair: (-pair[1], str(pair[0])))
    return {
        "values": [str(value) for value, _ in pairs[:MOST_VALUES]],
        "counts": [count for _, count in pairs[:MOST_VALUES]],
    }
