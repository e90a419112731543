"""Measure what one column alone tells of another. In: arrays of one value a row. Out: figures between 0 and 1.

Numbers are float64 with NaN where they are missing. Categories are codes from 0, with -1 where they are missing.
"""

from __future__ import annotations

from typing import Any

SUSPECT_AUC = 0.99
"""Area under the ROC curve of one feature above which it is suspected to be known only after the target."""
SUSPECT_RANK = 0.995
"""Absolute rank correlation with a numeric target above which it is."""


def ranks(values: Any) -> Any:
    """Return average ranks from 1; NaN stays NaN."""
    import pandas as pd

    return pd.Series(values).rank().to_numpy()


def rank_correlation(values: Any, others: Any) -> float:
    """Return Spearman's correlation of the rows where both are present; 0 when one of them does not vary."""
    import numpy as np

    present = ~(np.isnan(values) | np.isnan(others))
    one, other = ranks(values[present]), ranks(others[present])
    if len(one) < 2 or not one.std() or not other.std():
        return 0.0
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))


def correlation_ratio(codes: Any, values: Any) -> float:
    """Return the root of the share of the values' variance that lies between the categories.

    It is corrected for the number of categories (epsilon squared, Kelley 1935): with a category a row it is 0, not 1.
    """
    import numpy as np

    present = (codes >= 0) & ~np.isnan(values)
    codes, values = codes[present], values[present]
    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    if not total:
        return 0.0
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=values) / np.maximum(counts, 1)
    rows, categories = len(values), int((counts > 0).sum())
    if categories >= rows:
        return 0.0
    share = float((counts * (means - values.mean()) ** 2).sum()) / total
    return float(np.sqrt(np.clip(1 - (1 - share) * (rows - 1) / (rows - categories), 0, 1)))


def cramers_v(codes: Any, others: Any) -> float:
    """Return Cramér's V, corrected for its bias (Bergsma 2013)."""
    import numpy as np

    present = (codes >= 0) & (others >= 0)
    one, other = (np.unique(item[present], return_inverse=True)[1] for item in (codes, others))
    rows = len(one)
    if not rows:
        return 0.0
    height, width = int(one.max()) + 1, int(other.max()) + 1
    pairs, counts = np.unique(one * width + other, return_counts=True)  # the cells that are not empty
    product = np.bincount(one)[pairs // width] * np.bincount(other)[pairs % width]
    association = float((counts.astype(float) ** 2 / product).sum()) - 1
    if rows < 2:
        return 0.0
    corrected = max(0.0, association - (height - 1) * (width - 1) / (rows - 1))
    sides = [side - (side - 1) ** 2 / (rows - 1) for side in (height, width)]
    least = min(sides) - 1
    return float(min(1.0, (corrected / least) ** 0.5)) if least > 0 else 0.0


def area(values: Any, positive: Any) -> float:
    """Return the area under the ROC curve of an order of the rows (Mann and Whitney 1947), whichever way it points.

    Rows without a value are one group of their own, ranked where it tells most. 0.5 when a class has no row.
    """
    import numpy as np

    missing = np.isnan(values)
    sides = [-np.inf, np.inf] if missing.any() else [0.0]
    found = [_area(ranks(np.where(missing, side, values)), positive) for side in sides]
    return max(max(one, 1 - one) for one in found)


def area_of_categories(codes: Any, positive: Any) -> float:
    """Return the area when each row is ordered by its category's share of positives in the other half of the rows.

    A category's own rows would otherwise give the class of each row away when there are as many categories as rows.
    """
    import numpy as np

    known = codes + 1
    target = positive.astype(float)
    half = np.arange(len(codes)) % 2
    encoded = np.full(len(codes), target.mean() if len(target) else 0.0)
    for side in (0, 1):
        others = half != side
        counts = np.bincount(known[others], minlength=int(known.max(initial=0)) + 1)
        sums = np.bincount(known[others], weights=target[others], minlength=len(counts))
        overall = target[others].mean() if others.any() else 0.0
        means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
        encoded[~others] = means[known[~others]]
    one = _area(ranks(encoded), positive)
    return max(one, 1 - one)


def _area(ranked: Any, positive: Any) -> float:
    count = int(positive.sum())
    others = len(ranked) - count
    if not count or not others:
        return 0.5
    return float((ranked[positive].sum() - count * (count + 1) / 2) / (count * others))
