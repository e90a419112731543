"""Runs that register a model, with no tracker told of them: their one MLflow run ends as they do, whatever died."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from project import LONGEST, Project, until

ROWS = """
def rows():
    import pandas

    return pandas.DataFrame({"calls": range(40), "target": [int(number % 7 > 3) for number in range(40)]})
"""
SPEC = """
version: 1
name: registers
steps:
  data: {uses: python.call, with: {file: rows.py, function: rows}}
  train:
    uses: model.train
    with: {table: "${{ steps.data.table }}", target: target, algorithm: LogisticRegression}
  register: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: taken}}
  last: {needs: [register], LAST}
  end: {uses: debug.echo, needs: [last]}
outputs: {version: "${{ steps.register.version.version }}"}
"""


@pytest.fixture
def registers(project: Project) -> Project:
    """A project whose run waits in its last step but one, when the model is registered."""
    project.write("config/default.yaml", "sinks: []\nworkers: 1\nflush: 60\n")
    project.write("rows.py", ROWS)
    project.write("spec.yaml", SPEC.replace("LAST", project.hold()))
    return project


def begin(project: Project) -> tuple[subprocess.Popen[str], str]:
    """Starts the run, and waits until that step runs; the process and the run's id."""
    process = project.start("run", "spec.yaml", "--json")
    assert process.stdout is not None
    events = map(json.loads, process.stdout)
    last = (event for event in events if (event["event"], event["step"]) == ("step.started", "last"))
    return process, str(next(last)["run"])


def tracked(store: Path) -> list[tuple[str, str]]:
    """Status and e2i's id of every run in MLflow."""
    question = "SELECT status, value FROM runs JOIN tags USING (run_uuid) WHERE key = 'e2i.run'"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(store / "mlflow" / "mlflow.db")) as database:
        return list(database.execute(question))
    return []


def versions(store: Path) -> int:
    with closing(sqlite3.connect(store / "mlflow" / "mlflow.db")) as database:
        return int(database.execute("SELECT count(*) FROM model_versions").fetchone()[0])


@pytest.mark.slow  # by default tests/execution/test_abandoned.py, with a tracker that runs
def test_a_run_that_was_killed_is_so_in_mlflow_until_the_same_command_ends_it(registers: Project) -> None:
    process, run = begin(registers)
    with process:
        assert tracked(registers.store) == [("RUNNING", run)]
        process.kill()
    assert until(lambda: tracked(registers.store) == [("KILLED", run)], LONGEST)
    registers.let_go()
    assert registers.cli("run", "spec.yaml").returncode == 0
    assert (tracked(registers.store), versions(registers.store)) == ([("FINISHED", run)], 1)


@pytest.mark.slow
def test_a_run_that_was_interrupted_is_one_run_in_mlflow_when_the_same_command_ends_it(registers: Project) -> None:
    process, run = begin(registers)
    with process:
        process.send_signal(signal.SIGINT)
        registers.let_go()
        process.communicate(timeout=LONGEST)
    assert (process.returncode, tracked(registers.store)) == (130, [("KILLED", run)])
    assert registers.cli("run", "spec.yaml").returncode == 0
    assert (tracked(registers.store), versions(registers.store)) == ([("FINISHED", run)], 1)


@pytest.mark.slow
def test_a_run_that_fails_is_so_in_mlflow(registers: Project) -> None:
    registers.write("spec.yaml", SPEC.replace("LAST", "uses: debug.fail"))
    assert registers.cli("run", "spec.yaml").returncode == 1
    assert [status for status, _ in tracked(registers.store)] == ["FAILED"]
