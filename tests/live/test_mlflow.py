"""MLflow with its tracking database in a real PostgreSQL, which dies while it is told of a run."""

from __future__ import annotations

import json

import pytest
from mlflow import MlflowClient

from live.servers import Postgres
from project import Project, lines, until

SPEC = """
version: 1
name: tracked
steps:
  first: {uses: debug.sleep, with: {seconds: 0, value: 1}}
  held: {HOLD, needs: [first]}
  last: {uses: debug.sleep, needs: [held], with: {seconds: 0, value: 2}}
outputs: {last: "${{ steps.last.value }}"}
"""


@pytest.mark.slow
def test_a_database_that_dies_in_mid_run_costs_no_entry_and_the_run_nothing(
    postgres: Postgres, project: Project
) -> None:
    address = postgres.database()
    project.write(
        "config/default.yaml", f"sinks: [mlflow]\nflush: 200\ntools: {{mlflow: {{tracking_uri: '{address}'}}}}\n"
    )
    project.write("s.yaml", SPEC.replace("HOLD", project.hold()))
    client = MlflowClient(address)  # makes its tables
    client.search_experiments(max_results=1)
    with project.start("run", "s.yaml", "--json") as process:
        assert until(lambda: client.get_experiment_by_name("tracked"))
        postgres.kill()
        project.let_go()
        out, err = process.communicate()
    events = lines(out)
    assert (process.returncode, events[-1]["status"]) == (0, "succeeded"), err
    (degraded,) = [event for event in events if event["event"] == "tool.degraded"]
    assert degraded["tool"] == "mlflow" and degraded["waiting"] > 0
    assert project.cli("sync").returncode == 4
    postgres.start()
    synced = project.cli("sync", "--json")
    assert (synced.returncode, json.loads(synced.stdout)["sinks"]["mlflow"]["left"]) == (0, 0)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["e2i.run"]) == ("FINISHED", events[0]["run"])
