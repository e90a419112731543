"""The shipped specs, run by the console script: that they succeed, and that what they print is what the data says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score, root_mean_squared_error

from e2e import native_model
from e2e.sandbox import Run


@pytest.mark.parametrize("name", ["flights", "conversion", "comparison", "volume"])
def test_the_spec_succeeds_and_every_step_is_done_once(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    assert run.end["event"] == "run.finished"
    assert run.end["status"] == "succeeded"
    assert {step["status"] for step in run.end["steps"].values()} <= {"succeeded", "reused"}
    assert {step["attempts"] for step in run.end["steps"].values()} <= {0, 1}
    assert None not in run.end["outputs"].values()


def test_test_metrics_equal_a_recomputation_by_scikit_learn(route: Run) -> None:
    test, model = route.frame("split", "test"), route.outputs("train")["model"]
    predicted = native_model.predict(route.path(model), test)
    metrics = route.end["outputs"]["test"]
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(test[model["target"]], predicted), abs=1e-12)
    assert metrics["log_loss"] == pytest.approx(log_loss(test[model["target"]], predicted), abs=1e-9)


def test_the_model_knows_more_than_chance(flights: Run, conversion: Run) -> None:
    assert flights.end["outputs"]["test"]["roc_auc"] > 0.6
    assert conversion.end["outputs"]["test"]["roc_auc"] > 0.8


def test_every_kind_of_model_is_a_candidate_and_the_best_on_the_validation_rows_is_chosen(comparison: Run) -> None:
    ranking = comparison.end["outputs"]["ranking"]
    assert {entry["algorithm"] for entry in ranking} == {
        "XGBoost", "LightGBM", "CatBoost", "RandomForest", "LogisticRegression",
    }  # fmt: skip
    values = [entry["value"] for entry in ranking]
    assert values == sorted(values, reverse=True)
    assert comparison.end["outputs"]["best"] == ranking[0]["name"]
    xgboost = comparison.outputs("train[XGBoost]")["model"]
    validation = comparison.frame("split", "validation")
    recomputed = roc_auc_score(validation["target"], native_model.predict(comparison.path(xgboost), validation))
    assert recomputed == pytest.approx({entry["algorithm"]: entry["value"] for entry in ranking}["XGBoost"], abs=1e-12)


def test_a_number_is_predicted_by_the_candidate_with_the_least_error(volume: Run) -> None:
    ranking = volume.end["outputs"]["ranking"]
    values = [entry["value"] for entry in ranking]
    assert values == sorted(values)
    assert {entry["algorithm"] for entry in ranking} == {"Ridge", "Lasso", "XGBoost"}
    model, validation = volume.outputs("train[XGBoost]")["model"], volume.frame("split", "validation")
    predicted = native_model.predict(volume.path(model), validation)
    recomputed = root_mean_squared_error(validation["outcome"], predicted)
    assert recomputed == pytest.approx({entry["algorithm"]: entry["value"] for entry in ranking}["XGBoost"], abs=1e-9)
    assert r2_score(validation["outcome"], predicted) > 0.5


def test_the_known_effect_is_given_beside_the_data(conversion: Run) -> None:
    truth = conversion.frame("data", "truth")
    assert conversion.end["outputs"]["true_ate"] == pytest.approx(truth["tau"].mean(), abs=1e-12)
    assert isinstance(truth, pd.DataFrame) and np.isfinite(truth["tau"]).all()
