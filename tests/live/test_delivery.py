"""The delivery process with a real MLflow server: it tells what it did, and a run that was ended is not left running."""

from __future__ import annotations

import json

import pytest

from live.servers import MLflow
from live.wrong_answers import Front
from project import Project, lines

SPEC = """
version: 1
name: NAME
steps:
  first: {uses: debug.sleep, with: {seconds: 0, value: 1}}
  held: {HOLD, needs: [first]}
"""


def reported(project: Project, address: str, name: str) -> None:
    project.write("s.yaml", SPEC.replace("HOLD", project.hold()).replace("NAME", name))
    tools = f"tools: {{mlflow: {{tracking_uri: '{address}', deadline: 120}}}}"
    project.write("config/default.yaml", f"sinks: [mlflow]\nflush: 300\n{tools}\n")


def test_what_mlflow_prints_leaves_the_tally_as_it_is(mlflow_server: MLflow, project: Project) -> None:
    front = Front(mlflow_server.port)
    reported(project, f"http://127.0.0.1:{front.port}", "tallied")
    project.let_go()
    front.answer("502")
    ran = project.cli("run", "s.yaml", "--json")
    last = lines(ran.stdout)[-1]
    assert (ran.returncode, last["status"], last["degraded"]) == (0, "succeeded", True)
    front.answer(None)
    synced = project.cli("sync", "--json")
    tally = json.loads(synced.stdout)["sinks"]["mlflow"]
    assert (synced.returncode, tally["left"], tally["dead_lettered"]) == (0, 0, 0), tally
    assert tally["delivered"] > 0
    front.close()


@pytest.mark.slow
def test_telemetry_that_mlflow_refuses_is_told_and_kept(mlflow_server: MLflow, project: Project) -> None:
    client = mlflow_server.client()
    experiment = client.create_experiment("refusing")
    client.delete_experiment(experiment)
    reported(project, mlflow_server.uri, "refusing")
    project.let_go()
    ran = project.cli("run", "s.yaml", "--json", "--strict")
    events = lines(ran.stdout)
    (degraded,) = [event for event in events if event["event"] == "tool.degraded"]
    assert (ran.returncode, degraded["waiting"]) == (4, 0), degraded
    assert degraded["refused"] > 0
    client.restore_experiment(experiment)
    synced = project.cli("sync", "--refused")
    assert synced.returncode == 0, synced.stdout
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
