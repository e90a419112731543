"""Metrics of an order within queries: equal to scikit-learn's and to the mean over all orders of equal scores."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from e2i.errors import StepError
from e2i.estimators import ranking

Arrays = tuple[Any, Any, Any]


def rows(seed: int, *, ties: bool = False) -> Arrays:
    """Grades, scores and queries, in no order."""
    chance = np.random.default_rng(seed)
    groups = chance.integers(0, 40, 400)
    groups = np.unique(groups, return_inverse=True)[1]
    scores = chance.integers(0, 4, 400).astype(float) if ties else chance.normal(size=400)
    return chance.integers(0, 4, 400).astype(float), scores, groups


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("name", "k"), [("ndcg", None), ("ndcg_at_5", 5), ("ndcg_at_10", 10)])
def test_ndcg_is_that_of_scikit_learn(ties: bool, name: str, k: int | None) -> None:
    for seed in range(20):
        labels, scores, groups = rows(seed, ties=ties)
        found = ranking.per_query(labels, scores, groups)[name]
        for query in range(int(groups.max()) + 1):
            inside = groups == query
            if inside.sum() < 2:  # scikit-learn refuses a single row
                continue
            gains = 2.0 ** labels[inside] - 1
            if not gains.any():
                assert math.isnan(found[query])
            else:
                assert found[query] == pytest.approx(ndcg_score([gains], [scores[inside]], k=k), abs=1e-12)


def test_precisions_are_those_of_scikit_learn_and_by_hand() -> None:
    for seed in range(20):
        labels, scores, groups = rows(seed)
        found = ranking.per_query(labels, scores, groups)
        for query in range(int(groups.max()) + 1):
            relevant, own = labels[groups == query] > 0, scores[groups == query]
            if relevant.any():
                assert found["map"][query] == pytest.approx(average_precision_score(relevant, own), abs=1e-12)
                first = relevant[np.argsort(-own)][:5]
                assert found["precision_at_5"][query] == pytest.approx(first.sum() / 5, abs=1e-12)


def by_hand(labels: list[float]) -> tuple[float, float]:
    """Average precision and reciprocal rank of rows in order."""
    hits = [place for place, label in enumerate(labels, start=1) if label > 0]
    return sum(number / place for number, place in enumerate(hits, start=1)) / len(hits), 1 / hits[0]


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_equal_score_count_as_the_mean_over_their_orders(seed: int) -> None:
    chance = np.random.default_rng(seed)
    labels, scores = chance.integers(0, 3, 6).astype(float), chance.integers(0, 3, 6).astype(float)
    labels[0] = 1.0
    orders = [order for order in permutations(range(6)) if all(np.diff(scores[list(order)]) <= 0)]
    expected = np.mean([by_hand(list(labels[list(order)])) for order in orders], axis=0)
    found = ranking.evaluate(labels, scores, np.zeros(6, dtype=int))
    assert (found["map"], found["mrr"]) == pytest.approx(tuple(expected), abs=1e-12)


def test_figures_do_not_depend_on_the_order_of_rows_or_the_names_of_queries() -> None:
    labels, scores, groups = rows(1, ties=True)
    order = np.random.default_rng(2).permutation(len(labels))
    renamed = np.unique(-groups, return_inverse=True)[1]
    first = ranking.evaluate(labels, scores, groups)
    second = ranking.evaluate(labels[order], scores[order], renamed[order])
    assert second == pytest.approx(first, abs=1e-12)
    assert set(first) == set(ranking.NAMES)


def test_a_constant_score_has_the_figures_of_a_random_order() -> None:
    labels, _, groups = rows(3)
    constant = ranking.evaluate(labels, np.zeros(len(labels)), groups)
    chance = np.random.default_rng(4)
    drawn = [ranking.evaluate(labels, chance.normal(size=len(labels)), groups) for _ in range(2_000)]
    for name in ranking.NAMES:
        assert constant[name] == pytest.approx(np.mean([one[name] for one in drawn]), abs=0.01)


def test_queries_without_a_relevant_row_are_left_out() -> None:
    labels, scores = np.array([0.0, 0.0, 1.0, 0.0]), np.array([1.0, 2.0, 2.0, 1.0])
    expected = dict.fromkeys(ranking.NAMES, 1.0) | {"precision_at_5": 0.2, "precision_at_10": 0.1}
    assert ranking.evaluate(labels, scores, np.array([0, 0, 1, 1])) == expected
    assert ranking.evaluate(np.zeros(4), scores, np.array([0, 0, 1, 1])) == {}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.0, 1.5, 2.0, 0.0], "whole numbers from 0 to 31"),
        ([0.0, -1.0, 2.0, 0.0], "from -1 to 2"),
        ([0.0, 32.0, 2.0, 0.0], "from 0 to 32"),
        ([1.0, 1.0, 2.0, 2.0], "in each query all rows have the same"),
    ],
)
def test_a_target_that_is_no_grade_is_refused(labels: list[float], said: str) -> None:
    with pytest.raises(StepError, match=said) as raised:
        ranking.require_grades(np.array(labels), np.array([0, 0, 1, 1]), "clicks")
    assert raised.value.code == "bad-target"
