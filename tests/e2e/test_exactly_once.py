"""Runs that are killed, and begun again by the same command, many times: every tracker has each thing once, by its client."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MLflowRun

from e2e.sandbox import HERE, ONE_WORKER, Sandbox

SPEC = """
version: 1
name: effects
steps:
  data: {uses: dataset.hcp, with: {rows: 1200}}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: target
      features: &features [brand, specialty, call_frequency, sample_frequency]
      space: {n_estimators: {type: int, low: 4, high: 12}}
      trials: 5
  train:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: target
      features: *features
      params: ${{ steps.tune.best_params }}
  evaluate: {uses: model.evaluate, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
  register:
    uses: mlflow.register
    with: {model: "${{ steps.train.model }}", name: effects, metrics: "${{ steps.evaluate.metrics }}"}
  promote: {uses: mlflow.promote, with: {version: "${{ steps.register.version }}", stage: production}}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: effects}}
outputs:
  auc: ${{ steps.evaluate.metrics.roc_auc }}
  best: ${{ steps.tune.best_params }}
  bento: ${{ steps.package.bento }}
  previous: ${{ steps.promote.previous }}
  version: ${{ steps.promote.version.version }}
"""
CLIENT, STORE = "mlflow.tracking.client", "e2i.store.runs"
DEATHS = [
    (STORE, "RunStore.finish_step", "after", 3),
    (CLIENT, "MlflowClient.create_model_version", "after", 1),
    ("e2i.tools.optuna.connector", "GuardedOptuna._add_trials", "before", 2),
    (CLIENT, "MlflowClient.create_run", "after", 3),
    (STORE, "RunStore.finish_run", "before", 1),
    (STORE, "RunStore.start_run", "after", 1),
    (STORE, "RunStore.record", "after", 2),
    (STORE, "RunStore.finish_step", "before", 1),
    (STORE, "RunStore.finish_step", "after", 8),
    (STORE, "RunStore.finish_run", "after", 1),
    ("e2i.tools.optuna.mirror", "Mirror.add", "after", 1),
    ("e2i.tools.optuna.connector", "GuardedOptuna._add_trials", "after", 3),
    (CLIENT, "MlflowClient.create_run", "after", 1),
    (CLIENT, "MlflowClient.create_run", "before", 4),
    (CLIENT, "MlflowClient.log_batch", "after", 2),
    (CLIENT, "MlflowClient.log_batch", "before", 3),
    (CLIENT, "MlflowClient.set_terminated", "before", 1),
    (CLIENT, "MlflowClient.set_terminated", "after", 2),
    (CLIENT, "MlflowClient.log_artifacts", "after", 1),
    (CLIENT, "MlflowClient.create_logged_model", "after", 1),
    (CLIENT, "MlflowClient.log_model_artifacts", "after", 1),
    (CLIENT, "MlflowClient.create_registered_model", "after", 1),
    (CLIENT, "MlflowClient.set_registered_model_alias", "before", 1),
    (CLIENT, "MlflowClient.set_registered_model_alias", "after", 1),
    ("e2i.tools.bentoml.build", "build", "after", 1),
    ("e2i.tools.opik.sink", "Memory.add", "before", 1),
    ("e2i.tools.opik.sink", "OpikSink.deliver", "after", 2),
    ("e2i.telemetry.outbox", "Outbox.acknowledge", "before", 2),
    ("e2i.telemetry.outbox", "Outbox.settle", "after", 1),
]
MOST = 60
"""Starts after which a run that is killed at each of these places must have come to its end."""


@dataclass(frozen=True)
class Mortal(Sandbox):
    """A sandbox with one spec, in which processes die at given places."""

    @classmethod
    def at(cls, root: Path, deaths: list[tuple[str, str, str, int]]) -> Mortal:
        sandbox = cls(root)
        for folder in (sandbox.workspace, sandbox.home, sandbox.temporary):
            folder.mkdir(parents=True)
        sandbox.configure(ONE_WORKER)
        shutil.copytree(HERE / "deaths", sandbox.watch)
        (sandbox.watch / "deaths.json").write_text(json.dumps(deaths))
        (sandbox.workspace / "spec.yaml").write_text(SPEC)
        return sandbox

    def start(self) -> tuple[int, list[dict[str, Any]]]:
        """Runs the spec; the exit code, and the events that were printed."""
        done = self.command("e2i-run", "spec.yaml", "--store", str(self.store), "--json")
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")]

    def until_done(self) -> dict[str, Any]:
        """Gives the same command until it comes to its end, and delivers what waits; the last line of the run."""
        for _ in range(MOST):
            code, events = self.start()
            if code == 0:
                break
        assert code == 0, events[-1:]
        for _ in range(MOST):
            if self.command("e2i", "sync", "--store", str(self.store)).returncode == 0:
                return events[-1]
        raise AssertionError("the outbox was never empty")

    @property
    def survived(self) -> list[str]:
        """The places at which nobody died."""
        planned = [" ".join(map(str, death)) for death in json.loads((self.watch / "deaths.json").read_text())]
        return [death for death in planned if not (self.watch / f"died at {death}").exists()]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.store}/mlflow/mlflow.db")

    def tracked(self) -> tuple[MLflowRun, list[MLflowRun]]:
        """The one MLflow run that is no child, and its children. Fails when there is another, or another experiment."""
        experiments = [found.experiment_id for found in self.client.search_experiments()]
        runs = list(self.client.search_runs(experiments, max_results=5000))
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert len(parents) == 1, [run.data.tags for run in parents]
        return parents[0], [run for run in runs if run is not parents[0]]

    def reported(self) -> dict[str, Any]:
        """Everything that the trackers and the stores hold of the run, ids and times aside."""
        parent, children = self.tracked()
        client = self.client
        versions = client.search_model_versions("name = 'effects'")
        models = client.search_logged_models([parent.info.experiment_id])
        (study,) = optuna.get_all_study_summaries(f"sqlite:///{self.store}/optuna/studies.db")
        trials = optuna.load_study(
            study_name=study.study_name, storage=f"sqlite:///{self.store}/optuna/studies.db"
        ).trials
        with closing(sqlite3.connect(self.store / "opik" / "traces.db")) as opik:
            spans = [json.loads(text) for (text,) in opik.execute("SELECT document FROM records WHERE kind = 'spans'")]
            traces = [
                json.loads(text) for (text,) in opik.execute("SELECT document FROM records WHERE kind = 'traces'")
            ]
            scores = Counter(name for (name,) in opik.execute("SELECT name FROM scores"))
        return {
            "status": parent.info.status,
            "params": parent.data.params,
            "metrics": {name: self.values(parent, name) for name in sorted(parent.data.metrics)},
            "tags": sorted(name for name in parent.data.tags if name.startswith("e2i.")),
            "children": sorted((c.info.run_name, c.info.status, c.data.params, c.data.metrics) for c in children),
            "files": sorted(found.path for found in client.list_artifacts(parent.info.run_id)),
            "versions": [(v.version, v.run_id == parent.info.run_id, v.tags["stage"]) for v in versions],
            "aliases": dict(client.get_registered_model("effects").aliases),
            "models": [(str(m.status), sorted((x.key, x.value) for x in m.metrics or [])) for m in models],
            "bentos": sorted(p.parent.name for p in (self.store / "bentoml" / "bentos").glob("*/*/bento.yaml")),
            "trials": [(t.number, t.state.name, t.value, t.params) for t in trials],
            "traces": [(trace["name"], trace["tags"]) for trace in traces],
            "spans": sorted((span["name"], span["type"]) for span in spans),
            "scores": scores,
        }

    def values(self, run: MLflowRun, metric: str) -> list[tuple[int, float]]:
        return [(row.step, row.value) for row in self.client.get_metric_history(run.info.run_id, metric)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Mortal:
    sandbox = Mortal.at(tmp_path_factory.mktemp("undisturbed"), [])
    code, events = sandbox.start()
    assert code == 0, events
    return sandbox


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_any_number_of_deaths_there_is_one_of_everything(undisturbed: Mortal, tmp_path: Path) -> None:
    sandbox = Mortal.at(tmp_path, DEATHS)
    end = sandbox.until_done()
    reported, expected = sandbox.reported(), undisturbed.reported()
    for name, value in expected.items():
        assert reported[name] == value, name
    code, events = undisturbed.start()
    assert code == 0
    assert end["outputs"] == events[-1]["outputs"]
    assert len(DEATHS) - len(sandbox.survived) >= 20, sandbox.survived  # which call is whose depends on who died
