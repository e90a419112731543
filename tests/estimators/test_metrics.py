"""Metrics against scikit-learn's own, and where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

from e2i.errors import StepError
from e2i.estimators import details, metrics

R = np.random.default_rng(0)
LABELS = R.integers(0, 2, 200)
PROBABILITY = np.clip(LABELS * 0.3 + R.random(200) * 0.6, 0.01, 0.99)
CLASSES = R.integers(0, 3, 200)
PROBABILITIES = R.dirichlet([1, 1, 1], 200)


def test_binary_metrics_equal_scikit_learn() -> None:
    found = metrics.evaluate("classification", LABELS, PROBABILITY, threshold=0.4)
    decided = PROBABILITY >= 0.4
    assert found == pytest.approx(
        {
            "roc_auc": theirs.roc_auc_score(LABELS, PROBABILITY),
            "average_precision": theirs.average_precision_score(LABELS, PROBABILITY),
            "log_loss": theirs.log_loss(LABELS, PROBABILITY),
            "brier": theirs.brier_score_loss(LABELS, PROBABILITY),
            "accuracy": theirs.accuracy_score(LABELS, decided),
            "f1": theirs.f1_score(LABELS, decided),
            "precision": theirs.precision_score(LABELS, decided),
            "recall": theirs.recall_score(LABELS, decided),
            "prevalence": LABELS.mean(),
        }
    )


def test_metrics_of_several_classes_equal_scikit_learn() -> None:
    found = metrics.evaluate("classification", CLASSES, PROBABILITIES)
    assert found["roc_auc"] == pytest.approx(theirs.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr"))
    assert found["log_loss"] == pytest.approx(theirs.log_loss(CLASSES, PROBABILITIES))
    assert found["f1"] == pytest.approx(theirs.f1_score(CLASSES, PROBABILITIES.argmax(axis=1), average="macro"))
    assert "prevalence" not in found


def test_regression_metrics_equal_scikit_learn() -> None:
    true, predicted = R.normal(size=100) + 9, R.normal(size=100) + 9
    assert metrics.evaluate("regression", true, predicted) == pytest.approx(
        {
            "rmse": theirs.root_mean_squared_error(true, predicted),
            "mae": theirs.mean_absolute_error(true, predicted),
            "r2": theirs.r2_score(true, predicted),
            "mape": theirs.mean_absolute_percentage_error(true, predicted),
        }
    )


@pytest.mark.parametrize("classes", [3, 4, 7])
def test_details_equal_scikit_learn(classes: int) -> None:
    labels, predicted = R.integers(0, classes, 300), R.dirichlet(np.ones(classes), 300)
    one_hot = np.eye(classes)[labels]
    decided = predicted.argmax(axis=1)
    expected = {
        "f1_weighted": theirs.f1_score(labels, decided, average="weighted"),
        "roc_auc_micro": theirs.roc_auc_score(one_hot, predicted, average="micro"),
        "average_precision_micro": theirs.average_precision_score(one_hot, predicted, average="micro"),
        **{f"top_{k}_accuracy": theirs.top_k_accuracy_score(labels, predicted, k=k) for k in (2, 3, 5) if k < classes},
    }
    assert details.describe(metrics.rows_of("classification", labels, predicted)) == pytest.approx(expected, abs=1e-12)
    true, found = R.normal(size=100), R.normal(size=100)
    rows = metrics.rows_of("regression", true, found, quantile=0.9)
    expected = {"pinball": theirs.mean_pinball_loss(true, found, alpha=0.9), "share_below": (true <= found).mean()}
    assert details.describe(rows) == pytest.approx(expected, abs=1e-12)
    assert details.describe(metrics.rows_of("regression", true, found)) == {}


def test_what_is_not_defined_is_left_out() -> None:
    found = metrics.evaluate("classification", np.zeros(5, dtype=int), np.full(5, 0.2))
    assert "roc_auc" not in found and "average_precision" not in found and found["accuracy"] == 1.0
    assert "mape" not in metrics.evaluate("regression", np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    assert "r2" not in metrics.evaluate("regression", np.ones(3), np.ones(3))


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    assert np.isfinite(metrics.score("log_loss", np.array([1, 0]), np.array([0.0, 0.0])))


def test_a_metric_of_the_other_task_is_refused() -> None:
    assert metrics.choose(None, "regression") == "rmse"
    with pytest.raises(StepError, match="rmse is not a metric of classification"):
        metrics.choose("rmse", "classification")
