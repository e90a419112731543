"""Bootstrap intervals: equal to the metrics for weights of one, and covering what they should."""

from __future__ import annotations

import numpy as np
import pytest

from e2i.estimators import details, intervals, metrics

LEVEL = 0.95


def drawn(random: np.random.Generator, rows: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels with prevalence 0.3, and calibrated probabilities."""
    logits = random.normal(-1.15, 1.2, rows)
    predicted = 1 / (1 + np.exp(-logits))
    return (random.random(rows) < predicted).astype(int), predicted


@pytest.mark.parametrize("shape", ["binary", "ties", "three", "regression"])
def test_weights_of_one_give_the_metrics_themselves(shape: str) -> None:
    random = np.random.default_rng(3)
    task = "regression" if shape == "regression" else "classification"
    labels, predicted = drawn(random, 300)
    if shape == "ties":
        predicted = predicted.round(1)
    if shape == "three":
        labels, predicted = random.integers(0, 3, 300), random.dirichlet([1, 1, 1], 300)
    if shape == "regression":
        labels, predicted = random.normal(5, 1, 300), random.normal(5, 1, 300)
    expected = metrics.evaluate(task, labels, predicted, threshold=0.4)
    rows = metrics.rows_of(task, labels, predicted, 0.4, 0.8)
    expected |= details.describe(rows)
    found = intervals._weighted(rows, np.ones((1, 300)))
    expected.pop("prevalence", None)
    assert {name: float(value[0]) for name, value in found.items()} == pytest.approx(expected)


def test_equal_seeds_give_equal_intervals_and_more_rows_narrow_them() -> None:
    few, many = (drawn(np.random.default_rng(1), rows) for rows in (500, 5_000))
    one = intervals.bootstrap("classification", *few, seed=4)
    assert one == intervals.bootstrap("classification", *few, seed=4)
    assert one != intervals.bootstrap("classification", *few, seed=5)
    two = intervals.bootstrap("classification", *many, seed=4)
    assert all(two[name][1] - two[name][0] < one[name][1] - one[name][0] for name in one)


def test_rows_of_one_group_are_drawn_together() -> None:
    """Twenty copies of each row say no more than one."""
    labels, predicted = drawn(np.random.default_rng(1), 100)
    groups = np.repeat(np.arange(100), 20)
    copied = labels.repeat(20), predicted.repeat(20)
    by_row = intervals.bootstrap("classification", *copied)["brier"]
    by_group = intervals.bootstrap("classification", *copied, groups=groups)["brier"]
    alone = intervals.bootstrap("classification", labels, predicted)["brier"]
    assert by_group == pytest.approx(alone, rel=0.1)
    assert by_group[1] - by_group[0] > 3 * (by_row[1] - by_row[0])


def test_an_undefined_metric_has_no_interval() -> None:
    found = intervals.bootstrap("classification", np.zeros(50, dtype=int), np.full(50, 0.2))
    assert set(found) == {"log_loss", "brier", "accuracy"}


def test_the_constant_answer_is_judged_like_a_model() -> None:
    labels = np.array([0, 0, 0, 1])
    found = intervals.baseline("classification", labels, np.array([0.75, 0.25]))
    assert found["accuracy"] == 0.75 and found["roc_auc"] == 0.5 and "precision" not in found
    assert found["brier"] == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)
    assert intervals.baseline("regression", np.array([1.0, 3.0]), 2.0)["rmse"] == 1.0
    three = intervals.baseline("classification", np.array([0, 1, 2]), np.array([0.5, 0.3, 0.2]))
    assert three["accuracy"] == pytest.approx(1 / 3)
    assert intervals.worse({"accuracy": 0.7, "rmse": 1.0}, {"accuracy": 0.75, "rmse": 2.0}) == ["accuracy"]


def coverage(simulations: int) -> dict[str, float]:
    """Returns the share of simulated tables whose interval holds the true value of the metric."""
    truth = metrics.evaluate("classification", *drawn(np.random.default_rng(99), 2_000_000))
    hits = dict.fromkeys(("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1", "precision"), 0)
    for seed in range(simulations):
        found = intervals.bootstrap("classification", *drawn(np.random.default_rng(seed)), level=LEVEL, seed=seed)
        for name in hits:
            hits[name] += found[name][0] <= truth[name] <= found[name][1]
    return {name: count / simulations for name, count in hits.items()}


@pytest.mark.slow
def test_intervals_cover_the_true_value_in_a_sample_of_simulations() -> None:
    found = coverage(150)
    assert all(0.89 <= share <= 0.99 for share in found.values()), found


@pytest.mark.sweep
def test_intervals_cover_the_true_value_as_often_as_they_say() -> None:
    found = coverage(2_000)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found
