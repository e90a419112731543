"""Figures of features, compared with NumPy's and SciPy's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats  # type: ignore[import-untyped]  # it has no types

from e2i.tools.feast import statistics


def column(values: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def test_a_number_is_described() -> None:
    values = np.random.default_rng(0).normal(size=1_000)
    found = statistics.describe(column([*values, None]))
    assert (found["count"], found["nulls"], found["distinct"]) == (1_001, 1, 1_000)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["deviation"] == pytest.approx(values.std(ddof=1))
    assert found["quantiles"]["0.5"] == pytest.approx(np.median(values))
    assert sum(found["histogram"]["counts"]) == 1_000
    assert len(found["histogram"]["edges"]) == len(found["histogram"]["counts"]) + 1


def test_a_text_has_counts_of_its_values() -> None:
    found = statistics.describe(column(["b", "a", "b", None]))
    assert (found["mean"], found["quantiles"], found["distinct"]) == (None, None, 2)
    assert found["histogram"] == {"values": ["b", "a"], "counts": [2, 1]}


def test_nothing_is_described_as_nothing() -> None:
    found = statistics.describe(pa.chunked_array([pa.nulls(2, pa.float64())]))
    assert (found["count"], found["nulls"], found["mean"]) == (2, 2, None)
    assert statistics.drift(column([1.0]), pa.chunked_array([pa.nulls(2, pa.float64())]))["psi"] is None


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 3.0])
def test_the_kolmogorov_smirnov_statistic_is_scipys(shift: float) -> None:
    random = np.random.default_rng(1)
    now, before = random.normal(shift, size=400).round(1), random.normal(size=600).round(1)
    expected = stats.ks_2samp(now, before, method="asymp")
    statistic, p_value = statistics.kolmogorov_smirnov(now, before)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, abs=0.03)


def test_drift_grows_with_the_shift_and_is_none_for_equal_values() -> None:
    base = np.random.default_rng(2).normal(size=5_000)
    found = [statistics.drift(column(base + shift), column(base)) for shift in (0.0, 0.2, 1.0)]
    assert found[0] == {"psi": 0.0, "ks": 0.0, "ks_p_value": 1.0}
    assert found[0]["psi"] < found[1]["psi"] < 0.1 < 0.25 < found[2]["psi"]  # type: ignore[operator]
    assert found[2]["ks_p_value"] < 1e-6  # type: ignore[operator]


def test_the_stability_index_is_its_definition() -> None:
    now, before = np.array([30.0, 70.0]), np.array([50.0, 50.0])
    assert statistics.psi(now, before) == pytest.approx(-0.2 * np.log(0.6) + 0.2 * np.log(1.4))


def test_texts_and_truths_drift_by_their_shares() -> None:
    found = statistics.drift(column(["a"] * 30 + ["b"] * 70), column(["a"] * 50 + ["b"] * 50))
    assert found["psi"] == pytest.approx(-0.2 * np.log(0.6) + 0.2 * np.log(1.4))
    assert found["ks"] is None
    assert statistics.drift(column([True, False]), column([True, False]))["psi"] == 0.0
