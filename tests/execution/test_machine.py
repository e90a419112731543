"""The machine is measured during a run when the settings of MLflow ask for it."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from e2i.execution.machine import INTERVAL, MachineWatch
from project import Project

SPEC = "version: 1\nname: s\nsteps:\n  one: {uses: debug.sleep, with: {seconds: 0.7}}\n"


def test_the_machine_is_measured_at_intervals_by_the_names_and_units_of_mlflow() -> None:
    now = 100.0
    watch = MachineWatch(lambda: now)
    assert watch.due()
    found = watch.measure()
    assert {"cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_available_megabytes"} <= found.keys()
    assert all(0 <= value <= 100 for name, value in found.items() if name.endswith("_percentage"))
    assert not watch.due()
    now += INTERVAL
    assert watch.due()


@pytest.mark.slow
def test_a_run_reports_the_machine_to_mlflow(project: Project) -> None:
    settings = "{mlflow: {system_metrics: true, default_tags: {team: growth}}}"
    project.write("config/default.yaml", f"sinks: [mlflow]\nworkers: 1\ntools: {settings}\n")
    project.write("s.yaml", SPEC)
    assert project.cli("run", "s.yaml").returncode == 0
    with contextlib.closing(sqlite3.connect(project.store / "mlflow" / "mlflow.db")) as database:
        keys = {key for (key,) in database.execute("SELECT key FROM metrics")}
        tags = dict(database.execute("SELECT key, value FROM tags"))
    assert {"system/cpu_utilization_percentage", "system/disk_usage_percentage"} <= keys
    assert tags["team"] == "growth"
