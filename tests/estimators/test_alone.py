from __future__ import annotations

import numpy as np
import pytest

from e2i.estimators import alone

RANDOM = np.random.default_rng(0)
Y = RANDOM.integers(0, 2, 2_000)


def test_rank_correlation_is_that_of_orders() -> None:
    x = RANDOM.normal(size=500)
    assert alone.rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert alone.rank_correlation(x, -(x**3)) == pytest.approx(-1)
    assert alone.rank_correlation(x, np.ones(500)) == 0
    assert alone.rank_correlation(np.array([np.nan, 1.0]), np.array([1.0, np.nan])) == 0


def test_the_area_equals_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    x = np.round(RANDOM.normal(size=len(Y)) + Y, 1)
    assert alone.area(x, Y == 1) == pytest.approx(roc_auc_score(Y, x))
    assert alone.area(-x, Y == 1) == pytest.approx(roc_auc_score(Y, x))
    assert alone.area(x, np.zeros(len(x), dtype=bool)) == 0.5


def test_being_missing_can_tell_everything() -> None:
    assert alone.area(np.where(Y == 1, np.nan, 1.0), Y == 1) == 1


def test_categories_are_judged_by_other_rows() -> None:
    assert alone.area_of_categories(Y.astype(np.int64), Y == 1) == pytest.approx(1)
    own = np.arange(len(Y))
    assert alone.area_of_categories(own, Y == 1) < 0.55
    assert alone.area_of_categories(np.full(len(Y), -1), Y == 1) < 0.55


def test_the_correlation_ratio_does_not_grow_with_the_number_of_categories() -> None:
    values = RANDOM.normal(size=2_000)
    assert alone.correlation_ratio(np.arange(2_000), values) == 0
    assert alone.correlation_ratio(RANDOM.integers(0, 1_000, 2_000), values) < 0.25
    assert alone.correlation_ratio(Y.astype(np.int64), Y.astype(float)) == pytest.approx(1)
    assert alone.correlation_ratio(Y.astype(np.int64), np.ones(2_000)) == 0


def test_cramers_v_is_corrected_for_its_bias() -> None:
    codes = RANDOM.integers(0, 3, 2_000)
    assert alone.cramers_v(codes, codes) == pytest.approx(1, abs=1e-3)
    assert alone.cramers_v(codes, RANDOM.integers(0, 3, 2_000)) < 0.05
    assert alone.cramers_v(np.arange(2_000), Y) < 0.1
    assert alone.cramers_v(np.full(5, -1), Y[:5]) == 0
    assert alone.cramers_v(np.zeros(5, dtype=np.int64), Y[:5]) == 0
