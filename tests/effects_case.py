"""One pipeline with every action whose effect is verified, and what each effect is by the tool's own client."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from e2i.execution.record import RunRecord
from project import Project

STEPS = """
import numpy as np
import pandas as pd

def make(salt=0):
    x = np.random.default_rng(salt).normal(size=(80, 2))
    at = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(80), unit="h")
    keys = [f"k{i % 20}" for i in range(80)]
    return pd.DataFrame({"key": keys, "at": at, "a": x[:, 0], "b": x[:, 1], "y": (x[:, 0] > 0).astype(int)})
"""
SPEC = """
version: 1
name: effects
params: {salt: {type: integer, default: 0, min: 0, max: 9}}
defaults: {retry: {attempts: 1}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {salt: "${{ params.salt }}"}}}
  apply:
    uses: feast.apply
    with:
      project: demo
      entities: {thing: {join_key: key, type: string}}
      views: {facts: {table: "${{ steps.make.table }}", entity: thing, timestamp: at, features: [a, b]}}
  publish: {uses: feast.materialize, with: {repo: "${{ steps.apply.repo }}"}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.make.table }}
      validation: ${{ steps.make.table }}
      target: y
      exclude: [key, at]
      algorithm: LogisticRegression
      trials: 2
      study: demo
  train:
    uses: model.train
    with:
      table: ${{ steps.make.table }}
      target: y
      exclude: [key, at]
      algorithm: LogisticRegression
      params: ${{ steps.tune.best_params }}
  register: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: demo}}
  promote: {uses: mlflow.promote, with: {version: "${{ steps.register.version }}", stage: production}}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: demo}}
"""
EXTERNAL = ("apply", "publish", "tune", "register", "promote", "package")


def prepare(project: Project) -> None:
    """Writes the pipeline into a project, for one worker: the libraries of its tools are loaded once."""
    project.write("steps.py", STEPS)
    file = project.root / "config" / "default.yaml"
    project.write("config/default.yaml", f"{file.read_text()}workers: 1\n")


def statuses(record: RunRecord, names: Iterable[str] = EXTERNAL) -> dict[str, str]:
    """What became of the steps with effects."""
    return {name: record.steps[name].status.value for name in names}


def outputs(record: RunRecord, step: str) -> dict[str, Any]:
    found = record.steps[step].outputs
    assert found is not None
    return dict(found)


def assert_registered(uri: str, record: RunRecord) -> None:
    """The version of the run is in the registry with its files, and in production."""
    import mlflow.artifacts
    from mlflow import MlflowClient

    version = outputs(record, "register")["version"]
    client = MlflowClient(uri, registry_uri=uri)
    found = client.get_model_version("demo", str(version["version"]))
    location = client.get_model_version_download_uri("demo", found.version)
    assert mlflow.artifacts.list_artifacts(artifact_uri=f"{location}/data/model", tracking_uri=uri)
    assert int(client.get_model_version_by_alias("demo", "production").version) == version["version"]


def assert_tuned(storage: str, record: RunRecord, step: str = "tune") -> None:
    """The study is in the storage with its trials."""
    import optuna

    study = outputs(record, step)["study"]
    found = optuna.load_study(study_name=study["name"], storage=storage)
    assert len(found.trials) == study["trials"]


def assert_served(root: Path, config: Any, project: str = "demo") -> None:
    """Feast knows the view, and its online store has every key."""
    from feast_client import FeatureStore, RepoConfig

    store = FeatureStore(repo_path=str(root), config=config and RepoConfig(repo_path=root, **config))
    assert [view.name for view in store.list_feature_views()] == ["facts"]
    keys = [{"key": f"k{number}"} for number in range(20)]
    values = store.get_online_features(features=["facts:a", "facts:b"], entity_rows=keys).to_dict()
    assert None not in values["a"] and None not in values["b"]


def assert_packaged(home: Path, record: RunRecord) -> None:
    """The Bento and its model are in BentoML's store, as it lays it out. (A process has one BentoML store.)"""
    path = outputs(record, "package")["bento"]["tag"].replace(":", "/")
    assert (home / "bentos" / path / "bento.yaml").is_file() and (home / "models" / path / "model.yaml").is_file()
