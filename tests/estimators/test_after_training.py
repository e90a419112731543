"""Calibration, thresholds and conformal quantiles, against scikit-learn, brute force and direct formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e2i.estimators import calibrating, conformal, deciding, thresholds

Matrix = np.ndarray[Any, np.dtype[Any]]


def overconfident(rows: int, classes: int, seed: int) -> tuple[Matrix, Matrix]:
    """Labels, and probabilities whose logits are three times too large."""
    r = np.random.default_rng(seed)
    logits = r.normal(size=(rows, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (r.random(rows)[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    wrong = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return labels, wrong[:, 1] if classes == 2 else wrong


class Probabilities:
    """An estimator of scikit-learn's kind whose probabilities are its features."""

    def __new__(cls, classes: int) -> Any:
        from sklearn.base import BaseEstimator, ClassifierMixin

        class Found(ClassifierMixin, BaseEstimator):
            def fit(self, X: Matrix, y: Matrix) -> Any:  # noqa: N803
                self.classes_ = np.arange(classes)
                return self

            def predict_proba(self, X: Matrix) -> Matrix:  # noqa: N803
                return X

            def predict(self, X: Matrix) -> Matrix:  # noqa: N803
                return X.argmax(axis=1)

        return Found().fit(np.empty(0), np.empty(0))


@pytest.mark.parametrize("classes", [2, 4])
def test_maps_are_those_of_scikit_learn(classes: int) -> None:
    from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
    from sklearn.frozen import FrozenEstimator

    labels, predicted = overconfident(800, classes, seed=classes)
    both = np.column_stack([1 - predicted, predicted]) if classes == 2 else predicted
    for method, within in (("isotonic", 1e-9), ("temperature", 1e-4)):
        oracle = CalibratedClassifierCV(FrozenEstimator(Probabilities(classes)), method=method, ensemble=False)
        wanted = oracle.fit(both, labels).predict_proba(both)
        found = deciding.calibrated(predicted, calibrating.fit(labels, predicted, method))  # type: ignore[arg-type]
        np.testing.assert_allclose(found, wanted[:, 1] if classes == 2 else wanted, rtol=0, atol=within)
    platt = calibrating.fit(labels, predicted, "sigmoid")
    for index, one in enumerate(platt["maps"]):
        place = 1 if classes == 2 else index
        known = _SigmoidCalibration().fit(deciding.logits(both[:, place], platt["nearest"]), labels == place)
        assert (-known.a_, -known.b_) == pytest.approx((one["slope"], one["intercept"]), abs=1e-3)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration_divides_the_error_of_a_forest_by_three(method: Any) -> None:
    from sklearn.ensemble import RandomForestClassifier

    r = np.random.default_rng(3)
    features = r.normal(size=(6000, 4))
    labels = (r.random(6000) < 1 / (1 + np.exp(-1.2 * features[:, 0]))).astype(int)
    forest = RandomForestClassifier(20, bootstrap=False, max_features=1, random_state=0)
    forest.fit(features[:600], labels[:600])
    predicted = forest.predict_proba(features)[:, 1]
    fitted = calibrating.fit(labels[600:3300], predicted[600:3300], method)
    before = calibrating.expected_error(labels[3300:], predicted[3300:])
    after = calibrating.expected_error(labels[3300:], deciding.calibrated(predicted[3300:], fitted))
    assert before > 0.1 and after < before / 3


def test_a_map_is_judged_on_other_rows() -> None:
    labels, predicted = overconfident(60, 2, seed=1)
    own = deciding.calibrated(predicted, calibrating.fit(labels, predicted, "isotonic"))
    crossed = calibrating.cross_fitted(labels, predicted, "isotonic")
    assert calibrating.expected_error(labels, own) < 1e-9 < calibrating.expected_error(labels, crossed)


def test_a_threshold_is_the_best_of_all_and_never_worse_than_one_half() -> None:
    for seed in range(60):
        r = np.random.default_rng(seed)
        labels, predicted = r.integers(0, 2, 40), r.integers(0, 11, 40) / 10
        costs: Any = {name: r.normal(scale=9, size=40) for name in thresholds.OUTCOMES}
        curve = thresholds.curve(labels, predicted, costs)

        def cost(at: float, labels: Matrix = labels, predicted: Matrix = predicted, costs: Any = costs) -> float:
            chosen = predicted >= at
            outcome = np.where(labels == 1, np.where(chosen, "tp", "fn"), np.where(chosen, "fp", "tn"))
            return float(np.mean([costs[name][row] for row, name in enumerate(outcome)]))

        assert curve.cost is not None
        np.testing.assert_allclose(curve.cost, [cost(at) for at in curve.thresholds], rtol=0, atol=1e-9)
        place = thresholds.choose(curve, None, np.ones(len(curve.thresholds), dtype=bool))
        best = min(cost(at) for at in [*np.unique(predicted), 0.5, 1.0])
        assert cost(float(curve.thresholds[place])) == pytest.approx(best, abs=1e-9)
        assert curve.cost[place] <= curve.cost[curve.half]
    kept = thresholds.choose(curve, "precision", curve.figures["recall"] >= 0.8)
    assert curve.at(kept)["recall"] >= 0.8
    assert thresholds.choose(curve, "f1", curve.figures["recall"] > 1) == -1


def test_quantiles_are_those_of_the_formula() -> None:
    r = np.random.default_rng(0)
    labels, predicted, groups = (
        r.normal(size=500),
        r.normal(size=500),
        r.choice(["a", "b", "c"], 500, p=[0.7, 0.29, 0.01]),
    )
    found = conformal.fit(conformal.conformity(labels, predicted), 0.9, "g", groups.astype(object))
    scores = np.abs(labels - predicted)
    assert found["quantile"] == np.sort(scores)[int(np.ceil(501 * 0.9)) - 1]
    assert [one["value"] for one in found["groups"]] == ["a", "b"] and conformal.fewest(0.9) == 9
    for one in found["groups"]:
        own = np.sort(scores[groups == one["value"]])
        assert one["quantile"] == own[int(np.ceil((len(own) + 1) * 0.9)) - 1] and one["rows"] == len(own)
    each = deciding.quantiles(np.array(["b", "z", None], dtype=object), found, 3)
    assert each.tolist() == [found["groups"][1]["quantile"], found["quantile"], found["quantile"]]
    labels, shares = overconfident(400, 3, seed=5)
    classes = conformal.fit(conformal.conformity(labels, shares), 0.8)
    inside = deciding.prediction_set(shares, np.full(400, classes["quantile"]))
    assert inside[np.arange(400), labels].mean() >= 0.8
    lower, upper = deciding.widened(np.array([3.0, 0.0]), np.array([1.0, 4.0]), np.array([-0.5, -9.0]))
    assert (lower.tolist(), upper.tolist()) == ([1.5, 2.0], [2.5, 2.0])  # in order, and not narrower than the middle


def between(labels: Any, half: Any) -> float:
    """The share of the second half of the rows in intervals from -half to half, widened by the first half."""
    fitted = conformal.fit(conformal.outside(labels[:2000], -half[:2000], half[:2000]), 0.9)
    lower, upper = deciding.widened(half[2000:], -half[2000:], np.full(2000, fitted["quantile"]))
    assert np.unique(np.round(upper - lower, 9)).size == 2 and fitted["quantile"] > 0
    return float(((lower <= labels[2000:]) & (labels[2000:] <= upper)).mean())


@pytest.mark.parametrize("kind", ["numbers", "classes", "group 0", "group 1", "ends"])
def test_coverage_over_200_splits(kind: str) -> None:
    """A tenth of the rows is outside, on average over splits: for numbers, sets of classes, and within each group."""
    covered: list[float] = []
    for seed in range(200):
        r = np.random.default_rng(seed)
        groups = r.integers(0, 2, 4000).astype(float)
        labels, predicted = r.normal(scale=1 + 4 * groups), np.zeros(4000)
        if kind == "classes":
            labels, predicted = overconfident(4000, 3, seed)
        if kind == "ends":  # of a model that knows how the spread differs, but not how large it is
            covered.append(between(labels, 0.5 + 2 * groups))
            continue
        scores = conformal.conformity(labels[:2000], predicted[:2000])
        by = kind.startswith("group")
        fitted = conformal.fit(scores, 0.9, "g", groups[:2000] if by else None)
        quantile = deciding.quantiles(groups[2000:] if by else None, fitted, 2000)
        inside = conformal.conformity(labels[2000:], predicted[2000:]) <= quantile
        covered.append(float(inside[groups[2000:] == int(kind[-1])].mean() if by else inside.mean()))
    assert abs(np.mean(covered) - 0.9) < 0.01
