"""SHAP values of the runs, compared row by row with what the model's own library says."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from e2e import native_model
from e2e.sandbox import Run

EXPLAINED = {"flights": "test", "conversion": "validation"}


@pytest.mark.parametrize("name", EXPLAINED)
def test_values_and_expected_value_add_up_to_the_margin_that_xgboost_gives(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    values, explained = run.frame("explain", "values"), run.frame("split", EXPLAINED[name])
    folder = run.path(run.outputs("train")["model"])
    features = [feature["name"] for feature in native_model.read_manifest(folder)["features"]]
    margin = native_model.predict(folder, explained.iloc[values["row"]], margin=True)
    sums = values[features].sum(axis=1) + values["expected_value"]
    assert len(values) == min(len(explained), 1000 if name == "flights" else 200)
    assert np.abs(sums - margin).max() <= 1e-4
    assert np.abs(values["margin"] - margin).max() <= 1e-6
    assert set(values["expected_value"]) == {run.outputs("explain")["expected_value"]}


def test_values_equal_those_of_shaps_own_explainer(flights: Run) -> None:
    folder = flights.path(flights.outputs("train")["model"])
    manifest, values = native_model.read_manifest(folder), flights.frame("explain", "values").head(20)
    rows = native_model.encode(manifest, flights.frame("split", "test").iloc[values["row"]])
    import shap

    explainer = shap.TreeExplainer(xgboost.Booster(model_file=folder / manifest["file"]))
    features = [feature["name"] for feature in manifest["features"]]
    assert np.abs(explainer.shap_values(rows) - values[features].to_numpy()).max() <= 1e-5


@pytest.mark.parametrize("name", ["flights", "conversion", "comparison", "volume"])
def test_importance_is_each_features_share_of_the_mean_absolute_values(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    values, importance = run.frame("explain", "values"), run.end["outputs"]["importance"]
    size = values[list(importance)].abs().mean()
    assert list(importance.values()) == pytest.approx((size / size.sum()).tolist(), abs=1e-9)
    assert list(importance.values()) == sorted(importance.values(), reverse=True)
    assert np.abs(values[list(importance)].sum(axis=1) + values["expected_value"] - values["margin"]).max() <= 1e-4
