"""Warn of features and rows that know too much. In: training tables. Out: one sentence for each suspicion.

A feature that nearly orders the target by itself is seldom known before the target: a copy with noise, an identifier
that was given out in the target's order, or a value from afterwards. Rows that are in both tables make the figures on
the second one too good.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e2i.estimators import sketch

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.encoding import Feature, Matrix
    from e2i.estimators.schema import Schema

SUSPECT_AUC = 0.99
SUSPECT_RANK = 0.995
"""Absolute rank correlation (Spearman) with a numeric target."""
HALVES = 712_094_365
"""Seed of the halves of a table, unlike any that a table may be made with."""
FEWEST = 30
"""Rows below which a perfect order may be chance."""
ROWS = 100_000
"""Rows that are looked at: every n-th of a larger table."""


def warnings(train: pd.DataFrame, validation: pd.DataFrame | None, schema: Schema, labels: Matrix) -> list[str]:
    """Return a warning for each suspicious feature, and one for rows in both tables."""
    found = [
        f"feature {name!r} alone predicts the target {schema.target!r} almost perfectly ({figure}): check that it is "
        "known before the target is, and leave it out with `exclude` if not"
        for name, figure in suspects(train, schema, labels)
    ]
    if validation is not None:
        known = sketch.of(train, schema, labels)
        share = sketch.share(known, sketch.hashes(validation, schema.features, schema.labels(validation)))
        if share > sketch.SHARED_ROWS:
            found.append(
                f"{share:.0%} of the validation rows are training rows too, so its metrics are too good: remove "
                "duplicate rows before the split"
            )
    return found


def suspects(train: pd.DataFrame, schema: Schema, labels: Matrix) -> list[tuple[str, str]]:
    """Return each feature that predicts the target by itself, with the figure that shows it."""
    if len(train) < FEWEST:
        return []
    step = math.ceil(len(train) / ROWS)
    frame, target = train.iloc[::step], labels[::step]
    found = []
    for feature in schema.features:
        name = str(feature["name"])
        for values in _orders(frame, feature, target, schema):
            figure = _figure(values, target, schema)
            if figure is not None:
                found.append((name, figure))
                break
    return found


def _orders(frame: pd.DataFrame, feature: Feature, target: Matrix, schema: Schema) -> list[Matrix]:
    """Return the orders that a feature may give the rows: by its value, and by whether it is missing."""
    import numpy as np

    from e2i.estimators.encoding import encode

    values = encode(frame, [feature], "doubles")[:, 0]
    missing = np.isnan(values)
    if feature["kind"] == "category":
        orders = [_cross_encoded(values, target)]
        if schema.shape == "multiclass":
            orders = [_cross_classified(values, target, len(schema.classes or ()))]
    else:
        orders = [np.where(missing, np.nanmedian(values), values)] if not missing.all() else []
    return [*orders, missing.astype(np.float64)] if missing.any() and not missing.all() else orders


def _cross_encoded(codes: Matrix, target: Matrix) -> Matrix:
    """Return the mean target of each row's category among the rows of the other half, the overall mean without any."""
    import numpy as np

    known = np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1
    half = np.random.default_rng(HALVES).integers(0, 2, len(codes))  # not by position, which a category may follow
    encoded = np.full(len(codes), float(target.mean()))
    for side in (0, 1):
        others = half != side
        counts = np.bincount(known[others], minlength=int(known.max()) + 1)
        sums = np.bincount(known[others], weights=target[others], minlength=len(counts))
        means = np.where(counts > 0, sums / np.maximum(counts, 1), target.mean())
        encoded[~others] = means[known[~others]]
    return encoded


def _cross_classified(codes: Matrix, target: Matrix, classes: int) -> Matrix:
    """Return the most frequent class of each row's category among the rows of the other half."""
    import numpy as np

    shares = [_cross_encoded(codes, (target == label).astype(np.float64)) for label in range(classes)]
    best: Matrix = np.argmax(shares, axis=0).astype(np.float64)
    return best


def _figure(values: Matrix, target: Matrix, schema: Schema) -> str | None:
    """Return the figure of an order that is suspicious: area under the ROC curve, or rank correlation."""
    if schema.classes is None:
        ranks = _ranks(values)
        spread = ranks.std() * _ranks(target).std()
        if not spread:
            return None
        correlation = float(((ranks - ranks.mean()) * (_ranks(target) - ranks.mean())).mean() / spread)
        return f"rank correlation {abs(correlation):.4f}" if abs(correlation) > SUSPECT_RANK else None
    labels = range(len(schema.classes or ()))
    pairs = [(one, other) for one in labels for other in labels if one < other]
    areas = []
    for one, other in pairs:
        inside = (target == one) | (target == other)
        areas.append(_area(_ranks(values[inside]), target[inside] == one))
    area = min((max(area, 1 - area) for area in areas), default=0.5)  # of each pair of classes
    return f"area under the ROC curve {area:.4f}" if area > SUSPECT_AUC else None


def _ranks(values: Matrix) -> Matrix:
    """Return average ranks."""
    from scipy.stats import rankdata

    ranks: Matrix = rankdata(values)
    return ranks


def _area(ranks: Matrix, positive: Matrix) -> float:
    """Return the area under the ROC curve from ranks (Mann and Whitney 1947); 0.5 when a class has no row."""
    count = int(positive.sum())
    others = len(ranks) - count
    if not count or not others:
        return 0.5
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
