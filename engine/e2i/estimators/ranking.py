"""Judge an order of rows within queries, such as search results or the customers of a territory. Out: numbers.

A row has a grade of relevance, a whole number from 0 up; the model gives it a score. Within a query rows are ordered by
falling score. Rows of equal score stand in each of their orders equally often: a metric is its expectation over them,
so that a constant score has the figures of a random order. Queries without a relevant row say nothing and are left out.

- ``ndcg``: normalised discounted cumulative gain, with gain 2^grade - 1 and discount log2(place + 1) (Järvelin and
  Kekäläinen 2002; Burges et al. 2005). ``ndcg_at_5`` and ``ndcg_at_10`` count the first places only.
- ``map``: mean average precision; a row is relevant from grade 1.
- ``mrr``: mean reciprocal rank of the first relevant row.
- ``precision_at_5`` and ``precision_at_10``: relevant rows among the first places, divided by the number of places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix

LARGEST_GRADE = 31
"""Gains double with each grade; the libraries take none above this one."""
CUTS = (5, 10)
NAMES = ("ndcg", *(f"ndcg_at_{k}" for k in CUTS), "map", "mrr", *(f"precision_at_{k}" for k in CUTS))


class Ordered(Struct, frozen=True, eq=False):
    """Rows by query and falling score, (n,), with the blocks of rows of equal score."""

    grades: Matrix
    query: Matrix
    place: Matrix
    """Place in the query, from 1."""
    block: Matrix
    """Number of the row's block."""
    inside: Matrix
    """Place in the block, from 1."""


def queries(frame: pd.DataFrame, column: str) -> Matrix:
    """Return the number of each row's query, (n,), from 0 in order of appearance. Raises StepError."""
    import numpy as np
    import pandas as pd

    if column not in frame.columns:
        raise StepError(
            f"the table has no column {column!r} of queries",
            code="unknown-column",
            hint=f"columns: {', '.join(str(name) for name in frame.columns[:40])}",
        )
    codes: Matrix = pd.factorize(frame[column])[0]
    if (codes < 0).any():
        raise StepError(
            f"the query {column!r} is missing in {int((codes < 0).sum()):,} of {len(frame):,} rows",
            code="bad-column",
            hint="remove those rows with data.select",
        )
    return codes.astype(np.int64)


def of_model(manifest: Manifest, frame: pd.DataFrame) -> Matrix | None:
    """Return the number of each row's query, as of ``queries``; None for a model that is none of ranking."""
    return queries(frame, manifest["group"]) if "group" in manifest else None


def renumbered(codes: Matrix) -> Matrix:
    """Return the numbers of the queries of some rows, without gaps."""
    import numpy as np

    found: Matrix = np.unique(codes, return_inverse=True)[1]
    return found


def require_grades(labels: Matrix, groups: Matrix, target: str) -> None:
    """Raise StepError for a target that is no grade of relevance, or with which no query has an order."""
    import numpy as np

    if (labels != np.round(labels)).any() or labels.min() < 0 or labels.max() > LARGEST_GRADE:
        raise StepError(
            f"a ranking needs grades of relevance: whole numbers from 0 to {LARGEST_GRADE}; {target!r} has values "
            f"from {labels.min():g} to {labels.max():g}",
            code="bad-target",
            hint="derive grades from the target, such as 0, 1 and 2, with table.derive",
        )
    if not (_largest(labels, groups) > -_largest(-labels, groups)).any():
        raise StepError(
            f"in each query all rows have the same {target!r}, so there is no order to learn",
            code="bad-target",
            hint="check `group`: rows that are ranked against each other have one value",
        )


def require_apart(train: pd.Series[Any], test: pd.Series[Any]) -> None:
    """Raise StepError when rows of one query are both trained on and tested."""
    if shared := set(train.unique()) & set(test.unique()):
        raise StepError(
            f"{len(shared):,} queries of {str(train.name)!r} have rows that are trained on and rows that are tested",
            code="split-query",
            hint=f"divide by queries: strategy group or entity, `by: {train.name}`",
        )


def require_whole(column: pd.Series[Any], train: Matrix, test: Matrix) -> None:
    """Raise StepError when rows of one query are both trained on and tested: ``train`` and ``test`` (n,) tell rows."""
    require_apart(column[train], column[test])


def ndcg(labels: Matrix, predicted: Matrix, groups: Matrix, cuts: Iterable[int]) -> list[Matrix]:
    """Return for each cut the NDCG of each query by its first ``cut`` places, (q,); NaN without a relevant row."""
    ideal = 2.0 ** _ordered(labels, labels, groups).grades - 1.0
    found = _ordered(labels, predicted, groups)
    return [_ndcg(found, ideal, cut, int(groups.max()) + 1) for cut in cuts]


def per_query(labels: Matrix, predicted: Matrix, groups: Matrix) -> dict[str, Matrix]:
    """Return each metric of each query, (q,); NaN for queries without a relevant row."""
    import numpy as np

    count = int(groups.max()) + 1
    found = _ordered(labels, predicted, groups)
    ideal = 2.0 ** _ordered(labels, labels, groups).grades - 1.0
    relevant = _mean((found.grades > 0).astype(np.float64), found.block)
    figures: dict[str, Matrix] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, places in (("ndcg", len(labels)), *((f"ndcg_at_{cut}", cut) for cut in CUTS)):
            figures[name] = _ndcg(found, ideal, places, count)
        figures["map"], figures["mrr"] = _of_relevant(found, count)
        for cut in CUTS:
            hits = np.bincount(found.query, relevant * (found.place <= cut), count)
            figures[f"precision_at_{cut}"] = np.where(np.isnan(figures["map"]), math.nan, hits / cut)
    return figures


def evaluate(labels: Matrix, predicted: Matrix, groups: Matrix) -> dict[str, float]:
    """Return the mean of each metric over the queries that have a relevant row; empty when none has."""
    import numpy as np

    found = per_query(labels, predicted, groups)
    return {name: float(np.nanmean(values)) for name, values in found.items() if np.isfinite(values).any()}


def _ordered(labels: Matrix, predicted: Matrix, groups: Matrix) -> Ordered:
    import numpy as np

    order = np.lexsort((-predicted, groups))
    query, score = groups[order], predicted[order]
    starts_query = np.r_[True, query[1:] != query[:-1]]
    starts_block = starts_query | np.r_[True, score[1:] != score[:-1]]
    return Ordered(labels[order], query, _since(starts_query), np.cumsum(starts_block) - 1, _since(starts_block))


def _ndcg(found: Ordered, ideal: Matrix, places: int, count: int) -> Matrix:
    """Return the NDCG of each of ``count`` queries. ``ideal`` are the gains in the best order."""
    import numpy as np

    counted = (found.place <= places) / np.log2(found.place + 1.0)
    best = np.bincount(found.query, ideal * counted, count)
    gained = np.bincount(found.query, _mean(2.0**found.grades - 1.0, found.block) * counted, count)
    shares: Matrix = gained / np.where(best > 0, best, math.nan)
    return shares


def _since(starts: Matrix) -> Matrix:
    """Return the number of rows since the last start, from 1."""
    import numpy as np

    places = np.arange(len(starts))
    found: Matrix = places - np.maximum.accumulate(np.where(starts, places, 0)) + 1
    return found


def _mean(values: Matrix, block: Matrix) -> Matrix:
    """Return for each row the mean of its block."""
    import numpy as np

    found: Matrix = (np.bincount(block, values) / np.bincount(block))[block]
    return found


def _largest(values: Matrix, groups: Matrix) -> Matrix:
    import numpy as np

    found = np.full(int(groups.max()) + 1, -math.inf)
    np.maximum.at(found, groups, values)
    return found


def _of_relevant(found: Ordered, count: int) -> tuple[Matrix, Matrix]:
    """Return average precision and reciprocal rank of each query, expected over the orders within blocks.

    In a block of t rows, r of them relevant, after R relevant ones: a place has a relevant row with probability r / t;
    of the i - 1 places before it in the block (i - 1)(r - 1) / (t - 1) are then expected to be relevant. The first
    relevant row of the block is at its place i with probability C(t - i, r - 1) / C(t, r).
    """
    import numpy as np
    from scipy.special import gammaln

    def log_choose(n: Matrix, k: Matrix) -> Matrix:
        possible = (k >= 0) & (k <= n)
        n, k = np.where(possible, n, 0), np.where(possible, k, 0)
        chosen: Matrix = np.where(possible, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -math.inf)
        return chosen

    relevant = (found.grades > 0).astype(np.float64)
    size, hits = np.bincount(found.block)[found.block], np.bincount(found.block, relevant)[found.block]
    total = np.bincount(found.query, relevant, count)
    running = np.cumsum(relevant)
    last_of_block = np.flatnonzero(np.r_[np.diff(found.block) > 0, True])
    upto = running[last_of_block][found.block]  # relevant rows up to the end of the block, of all queries so far
    starts = np.flatnonzero(found.place == 1)
    earlier = np.zeros(count)
    earlier[found.query[starts]] = running[starts] - relevant[starts]
    before = upto - hits - earlier[found.query]
    others = (found.inside - 1) * (hits - 1) / np.maximum(size - 1, 1)
    precision = hits / size * (before + 1 + others) / found.place
    first = np.where(before == 0, np.exp(log_choose(size - found.inside, hits - 1) - log_choose(size, hits)), 0.0)
    first = np.where(hits > 0, first, 0.0)
    defined = np.where(total > 0, total, math.nan)
    reciprocal = np.bincount(found.query, first / found.place, count)
    return np.bincount(found.query, precision, count) / defined, np.where(total > 0, reciprocal, math.nan)
