"""Two stores that share results run every shipped spec, and a change of it, each with its effects in its own store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from e2i import api
from e2i.execution.record import RunRecord
from effects_case import assert_tuned
from project import Project

SPECS = Path(__file__).parents[2] / "specs"
SMALL = {
    "call_costs": {"rows": 2000},
    "call_order": {"rows": 4000},
    "flight_delays": {"rows": 6000, "trials": 4},
    "flights_five_tables": {"rows": 4000},
    "hcp_call_effect": {"rows": 3000},
    "hcp_conversion": {"rows": 4000, "trials": 4, "explain_rows": 200, "requests": 60},
    "job_training": {},
    "model_comparison": {"rows": 4000},
    "model_judging": {"rows": 4000, "shares": [0.5, 1.0], "gap": 0.5},
    "smoking_cessation": {},
    "volume_forecast": {"rows": 4000},
    "volume_intervals": {"rows": 2000},
    "prescription_volume": {"rows": 4000, "trials": 4},
}
IN_EVERY_RUN = {
    "hcp_conversion": {
        *("journeys", "registered", "promote_champion"),
        *("deploy", "bad_canary", "rollback", "canary", "roll_out", "observed", "undeploy"),
    }
}
"""Steps that look in every run, and those of an endpoint that ends with each run."""


def test_every_shipped_spec_is_tried_here() -> None:
    assert {path.stem for path in SPECS.glob("*.yaml") if not path.name.endswith(".test.yaml")} == set(SMALL)


def run(project: Project, name: str, params: dict[str, Any]) -> RunRecord:
    return api.run((SPECS / f"{name}.yaml").read_text("utf-8"), params, workspace=project.workspace)


def assert_there(project: Project, record: RunRecord) -> None:
    """Whatever the run registered, applied, tuned or packaged is in the store."""
    from mlflow import MlflowClient

    from feast_client import FeatureStore

    assert record.status == "succeeded", record.to_json()
    client = MlflowClient(f"sqlite:///{project.store}/mlflow/mlflow.db")
    for name, step in record.steps.items():
        outputs = dict(step.outputs or {})
        match step.uses:
            case "mlflow.register":
                version = outputs["version"]
                assert client.get_model_version(version["name"], str(version["version"])).run_id
            case "mlflow.promote" if name != "promote_champion":
                version = outputs["version"]
                held = client.get_model_version_by_alias(version["name"], "production")
                assert int(held.version) == (version["version"] if outputs["promoted"] else outputs["champion"])
            case "feast.apply":
                store = FeatureStore(repo_path=str(project.store / "feast" / outputs["repo"]["project"]))
                assert {view.name for view in store.list_feature_views()} == set(outputs["repo"]["views"])
            case "optuna.tune":
                assert_tuned(f"sqlite:///{project.store}/optuna/studies.db", record, name)
            case "bentoml.package":
                path = outputs["bento"]["tag"].replace(":", "/")
                assert (project.store / "bentoml" / "bentos" / path / "bento.yaml").is_file()


@pytest.mark.sweep
@pytest.mark.parametrize("name", SMALL)
def test_two_stores_that_share_results_run_a_spec_and_a_change_of_it(name: str, tmp_path: Path) -> None:
    stores = [Project(tmp_path / which) for which in ("one", "two")]
    for project in stores:
        project.write(
            "config/default.yaml", f"sinks: []\nflush: 300\nshared: {{url: 'file://{tmp_path}/net', deadline: 60}}\n"
        )
        for folder in ("data", "config/expectations"):
            if (SPECS.parent / folder).is_dir():
                shutil.copytree(SPECS.parent / folder, project.root / folder)
    changed = {**SMALL[name], "rows": 5000} if "rows" in SMALL[name] else {"seed": 8}
    for params in (SMALL[name], changed):
        for project in stores:
            assert_there(project, run(project, name, params))
    again = run(stores[1], name, changed)
    done_again = {step.id for step in again.steps.values() if step.status.value not in ("reused", "skipped")}
    assert done_again <= IN_EVERY_RUN.get(name, set())
