"""Runs whose process was killed: their trackers receive the end from the delivery process, the next start or ``e2i sync``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MLflowRun

from e2i.execution import abandoned
from e2i.resilience.processes import process_identity
from e2i.store.runs import RunStore
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from project import Project, until
from store.written import run_row

DEAD = "4000000:100:00000000-0000-0000-0000-000000000000"
LONG = 120.0
"""Seconds that MLflow may take to start on a busy machine."""
STEPS = """
import pathlib, time

def hold(value):
    while not pathlib.Path(__file__).with_name("go").exists():
        time.sleep(0.02)
    return value
"""
SPEC = """
version: 1
name: held
steps:
  hold: {uses: python.call, with: {file: steps.py, function: hold, arguments: {value: 1}}}
  after: {uses: python.call, with: {file: steps.py, function: hold, arguments: {value: "${{ steps.hold.value }}"}}}
outputs: {value: "${{ steps.after.value }}"}
"""


@pytest.fixture
def run_store(tmp_path: Path) -> Any:
    with contextlib.closing(RunStore(tmp_path, lambda digest: True)) as opened:
        yield opened


def begin(run_store: RunStore, run: str, holder: str, *sinks: str) -> None:
    run_store.start_run(run_row(run, holder=holder, started_ms=1000))
    run_store.start_step(run, "a", 1, 2000)
    run_store.record(Entry(f"{run}//run.started/1000", sink, run, "run.started", {}) for sink in sinks)


def waiting(root: Path, sink: str) -> list[tuple[str, str, Any]]:
    with Outbox(root / "state.db") as outbox:
        return [(e.run, e.kind, e.body.get("ended_ms")) for e in outbox.take(sink) if e.kind == "run.abandoned"]


def test_a_dead_run_is_closed_once_at_its_last_sign_of_life_for_the_sinks_that_heard_of_it(
    run_store: RunStore, tmp_path: Path
) -> None:
    begin(run_store, "dead", DEAD, "mlflow")
    begin(run_store, "alive", process_identity(), "mlflow")
    abandoned.close(run_store)
    abandoned.close(run_store)
    assert waiting(tmp_path, "mlflow") == [("dead", "run.abandoned", 2000)]
    assert waiting(tmp_path, "opik") == []


def test_a_run_that_no_tracker_heard_of_is_closed_without_a_word(run_store: RunStore, tmp_path: Path) -> None:
    begin(run_store, "dead", DEAD)
    abandoned.close(run_store)
    assert run_store.dead_runs() == []
    assert waiting(tmp_path, "mlflow") == []


def test_a_run_that_dies_again_is_closed_again(run_store: RunStore, tmp_path: Path) -> None:
    begin(run_store, "r", DEAD, "mlflow")
    abandoned.close(run_store)
    begin(run_store, "r", DEAD.replace("4000000", "4000001"))
    abandoned.close(run_store)
    assert len(waiting(tmp_path, "mlflow")) == 2


def test_an_end_that_a_tracker_has_not_received_is_delivered_by_a_run_that_executes_nothing(
    project: Project,
) -> None:
    project.write("config/default.yaml", "sinks: []\nflush: 60\n")
    spec = "version: 1\nname: n\nsteps: {a: {uses: debug.echo}}\n"
    project.run(spec)
    with contextlib.closing(RunStore(project.store, lambda digest: True)) as run_store:
        began = Entry("r//run.started/1", "opik", "r", "run.started", {"pipeline": "p", "params": {}, "started_ms": 1})
        run_store.record([began])
        assert not run_store.end_waits()  # it may be resumed
        run_store.record([Entry("r//run.finished/1", "opik", "r", "run.finished", {"status": "failed", "ended_ms": 2})])
        assert run_store.end_waits()
        record = project.run(spec)
        assert (record.steps["a"].status, record.telemetry["opik"].delivered) == ("reused", 2)
        assert not run_store.end_waits()


class Held(Project):
    """A project whose one run waits in its first step until it is released; MLflow is its tracker."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.write("config/default.yaml", "sinks: [mlflow]\nflush: 120\n")
        self.write("steps.py", STEPS)
        self.write("spec.yaml", SPEC)

    def begin(self, *options: str) -> tuple[subprocess.Popen[str], str]:
        """Starts the run, and waits until its step runs; the process and the run's id."""
        process = self.start("run", "spec.yaml", "--json", *options, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout)
        started = next(event for event in events if event["event"] == "step.started")
        return process, started["run"]

    def tracked(self) -> MLflowRun:
        """The one run in MLflow."""
        client = MlflowClient(f"sqlite:///{self.store}/mlflow/mlflow.db")
        (run,) = client.search_runs([found.experiment_id for found in client.search_experiments()])
        return run

    def status(self) -> str | None:
        """The status of the one run in MLflow, or None as long as there is none."""
        path = self.store / "mlflow" / "mlflow.db"
        if not path.exists():
            return None
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path)) as database:
            return next((status for (status,) in database.execute("SELECT status FROM runs")), None)
        return None


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


@pytest.mark.slow
def test_a_killed_run_is_killed_in_mlflow_too_and_is_one_run_when_it_is_resumed_to_its_end(held: Held) -> None:
    process, run = held.begin()
    with process:
        process.kill()
    assert until(lambda: held.status() == "KILLED", LONG)  # by its delivery process, which nobody killed
    assert f"--resume {run}" in held.tracked().data.tags["e2i.ended"]

    process, _ = held.begin("--resume", run)
    with process:
        assert until(lambda: held.status() == "RUNNING", LONG)
        process.send_signal(signal.SIGINT)
        held.write("go", "")
        process.communicate()
    assert process.returncode == 130
    assert held.tracked().info.status == "KILLED"
    assert "e2i.ended" not in held.tracked().data.tags

    assert held.cli("run", "spec.yaml", "--resume", run).returncode == 0
    assert held.tracked().info.status == "FINISHED"


@pytest.mark.slow
def test_a_run_that_was_killed_with_its_delivery_process_is_closed_by_a_sync(held: Held) -> None:
    process, _ = held.begin()
    with process:
        assert until(lambda: held.status() == "RUNNING", LONG)
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none notices that another died
            for victim in held.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, number)
    assert held.status() == "RUNNING"
    assert held.cli("sync").returncode == 0
    assert held.status() == "KILLED"
