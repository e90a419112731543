"""What the end of a run says to people and to hooks about telemetry, with a real MLflow server."""

from __future__ import annotations

import json
import signal

import pytest

from live.servers import MLflow
from project import Project, until

SPEC = """
version: 1
name: NAME
steps:
  first: {uses: debug.sleep, with: {seconds: 0, value: 1}}
  held: {HOLD, needs: [first]}
"""
HOOK = "on_finish: [{command: [/bin/sh, -c, 'cat > note.json']}]\n"


def reported(project: Project, address: str, name: str) -> None:
    project.write("s.yaml", SPEC.replace("HOLD", project.hold()).replace("NAME", name))
    tools = f"tools: {{mlflow: {{tracking_uri: '{address}', deadline: 120}}}}"
    project.write("config/default.yaml", f"sinks: [mlflow]\nflush: 300\n{tools}\n{HOOK}")


@pytest.mark.slow
def test_the_end_of_a_run_says_that_its_telemetry_was_refused(mlflow_server: MLflow, project: Project) -> None:
    client = mlflow_server.client()
    client.delete_experiment(client.create_experiment("refused-at-its-end"))
    reported(project, mlflow_server.uri, "refused-at-its-end")
    project.let_go()
    ran = project.cli("run", "s.yaml")
    assert ran.returncode == 0
    assert "! mlflow: " in ran.stderr and " refused" in ran.stderr
    assert "succeeded, degraded" in ran.stdout and "refused by mlflow and kept" in ran.stdout
    note = json.loads((project.root / "note.json").read_text())
    (waiting,) = note["telemetry"]
    assert (note["degraded"], waiting["tool"], waiting["waiting"]) == (True, "mlflow", 0)
    assert waiting["refused"] > 0


def test_a_terminated_run_ends_in_mlflow_and_is_notified(mlflow_server: MLflow, project: Project) -> None:
    reported(project, mlflow_server.uri, "terminated-and-notified")
    client = mlflow_server.client()

    def status() -> str | None:
        experiment = client.get_experiment_by_name("terminated-and-notified")
        found = client.search_runs([experiment.experiment_id]) if experiment else []
        return str(found[0].info.status) if found else None

    with project.start("run", "s.yaml", "--json") as process:
        assert until(lambda: status() == "RUNNING")
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 143
    assert json.loads((project.root / "note.json").read_text())["status"] == "interrupted"
    if status() == "RUNNING":  # this machine was too busy for the seconds that the delivery had
        project.cli("sync")
    assert status() == "KILLED"
