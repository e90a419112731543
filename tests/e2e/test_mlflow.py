"""MLflow's own client, asked about the flagship runs through the database in the store."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import mlflow.xgboost
import numpy as np
import optuna
import pytest
import xgboost
from mlflow import MlflowClient
from mlflow.entities import Run as MLflowRun

from e2e import native_model
from e2e.sandbox import Run


def database(run: Run) -> str:
    return f"sqlite:///{run.store}/mlflow/mlflow.db"


def tracked(run: Run) -> MLflowRun:
    """The MLflow run that stands for a run."""
    client = MlflowClient(database(run))
    experiment = client.get_experiment_by_name(f"e2i_{run.record['pipeline']}")  # as the shipped settings name it
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`e2i.run` = '{run.id}'")
    return found


@pytest.fixture
def uri(route: Run) -> Iterator[str]:
    mlflow.set_tracking_uri(database(route))
    yield database(route)
    mlflow.set_tracking_uri(None)


def test_the_run_is_finished_with_its_parameters_metrics_and_times(route: Run) -> None:
    found = tracked(route)
    assert found.info.status == "FINISHED"
    assert (found.info.start_time, found.info.end_time) == (route.record["started_ms"], route.record["ended_ms"])
    for name, value in route.record["params"].items():
        assert found.data.params[f"params.{name}"] == str(value)
    for name, value in route.outputs("tune")["best_params"].items():
        assert found.data.params[f"train.{name}"] == str(value)
    for name, value in route.outputs("evaluate")["metrics"].items():
        assert found.data.metrics[f"evaluate/{name}"] == value
    for step in route.record["steps"].values():
        assert found.data.tags[f"e2i.step.{step['step']}"].startswith(f"succeeded, {step['uses']}")


def test_the_files_of_the_run_hold_the_reports_of_its_steps(route: Run) -> None:
    client, run = MlflowClient(database(route)), tracked(route).info.run_id
    assert "evaluation/index.html" in {file.path for file in client.list_artifacts(run, "evaluation")}
    assert {"shap/index.html", "shap/bar.png"} <= {file.path for file in client.list_artifacts(run, "shap")}
    suite = next(file for file in client.list_artifacts(run, "great_expectations") if not file.path.endswith("inline"))
    (data_docs,) = client.list_artifacts(run, suite.path)
    assert data_docs.file_size == (route.path(route.outputs("quality")["report"]) / "index.html").stat().st_size


def test_the_version_in_production_is_of_this_run_and_knows_its_metrics(route: Run) -> None:
    client, registered = MlflowClient(database(route)), route.end["outputs"]["version"]
    version = client.get_model_version_by_alias(registered["name"], "production")
    assert version.version == registered["version"]
    assert isinstance(registered["version"], int)
    assert version.run_id == tracked(route).info.run_id
    assert version.tags["stage"] == "production"


def test_the_model_has_a_signature_and_predicts_as_xgboost_does(route: Run, uri: str) -> None:
    model = f"models:/{route.end['outputs']['version']['name']}@production"
    signature = mlflow.models.get_model_info(model).signature
    folder = route.path(route.outputs("train")["model"])
    features = [feature["name"] for feature in native_model.read_manifest(folder)["features"]]
    assert signature.inputs.input_names() == features
    assert signature.outputs is not None
    test = route.frame("split", "test")
    served = mlflow.pyfunc.load_model(model).predict(test[features])
    assert np.abs(served - native_model.predict(folder, test)).max() <= 1e-6


def test_the_registered_model_is_xgboosts_own_too(route: Run, uri: str) -> None:
    """Loaded by MLflow in XGBoost's format, as by a program that knows nothing of e2i."""
    model, folder = route.end["outputs"]["version"], route.path(route.outputs("train")["model"])
    booster = mlflow.xgboost.load_model(f"models:/{model['name']}/{model['version']}")
    booster = booster if isinstance(booster, xgboost.Booster) else booster.get_booster()
    rows = native_model.encode(native_model.read_manifest(folder), test := route.frame("split", "test"))
    assert np.abs(booster.predict(xgboost.DMatrix(rows)) - native_model.predict(folder, test)).max() <= 1e-6


def test_every_trial_is_a_finished_child_with_the_trials_parameters_and_value(route: Run) -> None:
    parent = tracked(route).info
    client = MlflowClient(database(route))
    children = client.search_runs([parent.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.run_id}'")
    study = optuna.load_study(
        study_name=route.outputs("tune")["study"]["name"], storage=f"sqlite:///{route.store}/optuna/studies.db"
    )
    assert {child.info.status for child in children} == {"FINISHED"}
    assert len(children) == len(study.trials) == route.record["params"]["trials"]
    logged = {child.info.run_name: child.data for child in children}
    for trial in study.trials:
        data = logged[f"trial-{trial.number:04d}"]
        assert data.params == {name: str(value) for name, value in trial.params.items()}
        assert data.metrics == dict(zip(("roc_auc", "log_loss"), trial.values, strict=False))


def test_each_cell_of_a_matrix_has_its_own_metrics(comparison: Run) -> None:
    metrics = tracked(comparison).data.metrics
    for step in comparison.record["steps"]:
        if step.startswith("train["):
            name = step.replace("[", "_").replace("]", "_")
            assert f"{name}/train_roc_auc" in metrics, sorted(metrics)
