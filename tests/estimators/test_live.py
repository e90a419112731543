"""Live estimators: their names, their libraries, and the metrics that they are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge, SGDClassifier

from e2i.errors import StepError
from e2i.estimators import live
from e2i.estimators.algorithms import ALGORITHMS

ROWS = np.random.default_rng(0).normal(size=(80, 2))
TEXTS = np.where(ROWS[:, 0] > 0, "yes", "no")
CLASSES = np.array(["no", "yes"])


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@pytest.mark.parametrize("spelling", [str.lower, str.upper, lambda name: "_".join(name), lambda name: f" {name}-"])
def test_names_are_known_in_any_spelling(name: str, spelling: Any) -> None:
    assert live.named(spelling(name)) == name


@pytest.mark.parametrize("name", ["CausalForest", "linear_dml"])
def test_algorithms_of_effects_are_known_too(name: str) -> None:
    assert live.named(name) in ("CausalForest", "LinearDML")


def test_the_library_of_an_estimator_is_that_of_its_nearest_class() -> None:
    class Own(xgboost.XGBClassifier):  # type: ignore[misc]  # xgboost has no types
        pass

    assert live.library_of(Own()) == "xgboost"
    assert live.library_of(Ridge()) == "sklearn"
    assert live.library_of(len) == "builtins"


def test_only_xgboost_with_other_labels_is_wrapped() -> None:
    booster, forest = xgboost.XGBClassifier(n_estimators=3), RandomForestClassifier()
    assert live.with_labels(booster, np.array([0, 1, 2])) is booster
    assert live.with_labels(forest, CLASSES) is forest
    wrapped = live.with_labels(booster, CLASSES).fit(ROWS, TEXTS)
    assert set(wrapped.predict(ROWS)) == {"no", "yes"}


@pytest.mark.parametrize("metric", ["accuracy", "f1", "precision", "recall"])
def test_decisions_are_the_estimators_own(metric: str) -> None:
    from sklearn import metrics

    model = RandomForestClassifier(4, random_state=0).fit(ROWS[:40], TEXTS[:40])  # four trees tie often
    places = np.searchsorted(CLASSES, TEXTS[40:])
    found = live.measure(model, metric, ROWS[40:], places, CLASSES)
    decided = model.predict(ROWS[40:])
    about = {} if metric == "accuracy" else {"pos_label": "yes"}
    assert found == getattr(metrics, "accuracy_score" if metric == "accuracy" else f"{metric}_score")(
        TEXTS[40:], decided, **about
    )


def test_a_model_without_probabilities_is_judged_by_what_it_gives() -> None:
    model = SGDClassifier(random_state=0).fit(ROWS, TEXTS)
    places = np.searchsorted(CLASSES, TEXTS)
    assert live.measure(model, "roc_auc", ROWS, places, CLASSES) > 0.9
    assert live.measure(model, "accuracy", ROWS, places, CLASSES) > 0.9
    with pytest.raises(StepError, match="gives no probabilities"):
        live.measure(model, "brier", ROWS, places, CLASSES)
