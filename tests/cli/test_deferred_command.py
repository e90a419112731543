"""``e2i sync`` executes the deferred steps of earlier runs once their tool is back, and what follows them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from project import Project, lines

MAKE = """
def make(rows, shift=0):
    import numpy, pyarrow
    x = numpy.arange(rows) + shift
    return pyarrow.table({"x": x.astype("float64"), "y": (x % 2 == 0).astype("int64")})

def tell(version):
    return {"deployed": version["version"]}
"""
SPEC = """
version: 1
name: registers
params: {rows: {type: integer, default: 60}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {rows: "${{ params.rows }}"}}}
  train: {uses: model.train, with: {table: "${{ steps.make.table }}", target: y, algorithm: LogisticRegression}}
  register:
    uses: mlflow.register
    on_unavailable: defer
    with: {model: "${{ steps.train.model }}", name: demo}
  promote:
    uses: mlflow.promote
    with: {version: "${{ steps.register.version }}", stage: production}
outputs: {version: "${{ steps.promote.version | default(none) }}"}
"""


def garbage(store: Path) -> bytes:
    """Replaces the embedded MLflow's database by something that is none. Returns what was there."""
    path = store / "mlflow" / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(b"this is no database, whatever else it may be" * 100)
    return before


def back(store: Path, content: bytes) -> None:
    path = store / "mlflow" / "mlflow.db"
    path.write_bytes(content) if content else path.unlink()


def versions(store: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(store / "mlflow" / "mlflow.db") as database:
        return database.execute("SELECT name, version FROM model_versions ORDER BY 2").fetchall()


def statuses(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {step: end["status"] for step, end in lines(done.stdout)[-1]["steps"].items()}


def run(project: Project, *options: str) -> tuple[str, dict[str, str]]:
    done = project.cli("run", "s.yaml", "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(lines(done.stdout)[0]["run"]), statuses(done)


def synced(project: Project, code: int, *options: str) -> list[dict[str, Any]]:
    done = project.cli("sync", "--json", *options)
    assert done.returncode == code, done.stdout + done.stderr
    completed: list[dict[str, Any]] = json.loads(done.stdout)["completed"]
    return completed


@pytest.fixture
def registers(project: Project) -> Project:
    project.write("config/default.yaml", "sinks: []\nworkers: 1\nflush: 2\n")
    project.write("steps.py", MAKE)
    project.write("s.yaml", SPEC)
    project.store.mkdir(mode=0o700)
    return project


@pytest.mark.slow
def test_a_deferred_registration_is_done_by_sync_and_the_steps_below_it_follow(registers: Project) -> None:
    before = garbage(registers.store)
    name, ended = run(registers)
    assert ended == {"make": "succeeded", "train": "succeeded", "register": "deferred", "promote": "skipped"}

    back(registers.store, before)
    shown = registers.cli("sync")
    assert shown.returncode == 0, shown.stderr
    assert (
        shown.stdout.splitlines()[-1]
        == f"run {name} of registers: resumed, succeeded: register succeeded, promote succeeded"
    )
    assert "✓ promote" in shown.stderr
    assert versions(registers.store) == [("demo", 1)]
    past = json.loads(registers.cli("show", name, "--json").stdout)
    assert past["outputs"]["version"]["version"] == 1
    assert [step["status"] for step in past["steps"]] == ["reused", "reused", "succeeded", "succeeded"]

    assert synced(registers, 0) == []
    assert versions(registers.store) == [("demo", 1)]


@pytest.mark.slow
def test_it_is_done_for_the_latest_of_runs_that_do_the_same(registers: Project) -> None:
    before = garbage(registers.store)
    name, _ = run(registers)
    (still,) = synced(registers, 4)
    assert (still["run"], still["status"], still["steps"]) == (name, "succeeded", {"register": "deferred"})
    runs = [name, run(registers, "--fresh")[0], run(registers, "-p", "rows=80")[0]]
    back(registers.store, before)
    completed = synced(registers, 0)
    assert [item["run"] for item in completed] == runs[1:]
    assert [set(item["steps"]) for item in completed] == [{"register", "promote"}] * 2
    assert versions(registers.store) == [("demo", 1), ("demo", 2)]


@pytest.mark.slow
def test_a_later_run_that_has_done_it_takes_its_place(registers: Project) -> None:
    before = garbage(registers.store)
    run(registers)
    back(registers.store, before)
    for file in (registers.store / "breakers").glob("*"):
        file.unlink()  # not to wait for the recovery time of the open circuit
    assert run(registers)[1]["register"] == "succeeded"
    assert synced(registers, 0) == []
    assert versions(registers.store) == [("demo", 1)]


@pytest.mark.slow
def test_a_run_whose_inputs_have_changed_is_not_completed_with_others(registers: Project) -> None:
    before = garbage(registers.store)
    name, _ = run(registers)
    back(registers.store, before)
    registers.write("steps.py", MAKE.replace("% 2", "% 3"))
    (kept,) = synced(registers, 4)
    assert (kept["run"], kept["status"], kept["steps"]) == (name, None, {})
    assert "steps that were finished would run again: make (" in kept["problem"]
    assert f"e2i run --resume {name}" in kept["problem"]
    assert json.loads(registers.cli("show", name, "--json").stdout)["status"] == "succeeded"


@pytest.mark.slow
def test_a_run_of_another_profile_is_named_and_not_touched(registers: Project) -> None:
    registers.write("config/staging.yaml", "tools: {mlflow: {tracking_uri: 'http://127.0.0.1:9'}}\n")
    name, ended = run(registers, "--profile", "staging")
    assert ended["register"] == "deferred"
    (other,) = synced(registers, 4)
    assert (other["run"], other["status"]) == (name, None)
    assert other["problem"] == "it belongs to another profile: e2i sync --profile staging"
    assert not (registers.store / "mlflow" / "mlflow.db").exists()
    (down,) = synced(registers, 4, "--profile", "staging")
    assert (down["status"], "127.0.0.1:9" in down["problem"]) == (None, True), down


@pytest.mark.slow
def test_deferred_steps_of_a_failed_run_are_named_with_the_command_that_resumes_it(registers: Project) -> None:
    failing = SPEC.replace("outputs:", "  gate: {uses: python.call, with: {file: gate.py, function: gate}}\noutputs:")
    registers.write("gate.py", "def gate():\n    assert open('open').read()\n")
    registers.write("failing.yaml", failing)
    content = garbage(registers.store)
    assert registers.cli("run", "failing.yaml").returncode == 1
    for _ in range(2):
        done = registers.cli("sync", "--json")
        (found,) = json.loads(done.stdout)["completed"]
        assert (done.returncode, found["status"]) == (4, None), done.stderr
        assert f"e2i run --resume {found['run']}" in found["problem"]
        back(registers.store, content)  # the tool is back: it is still the user's decision
        content = garbage(registers.store)
    back(registers.store, content)
    registers.write("open", "yes")
    assert registers.cli("run", "--resume", found["run"]).returncode == 0
    assert registers.cli("sync").returncode == 0
    assert versions(registers.store) == [("demo", 1)]
