"""What runs leave outside of the store: no file, no process, and no question to anybody outside this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from e2e.sandbox import Run, Sandbox

RUNS = ("flights", "conversion", "comparison", "volume")


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_written_outside_the_store(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run: Run = request.getfixturevalue(name)
    assert run.sandbox.files() == Sandbox.make(tmp_path / "untouched").files()


@pytest.mark.parametrize("name", RUNS)
def test_no_scratch_is_left_in_the_store(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    assert list((run.store / "tmp").iterdir()) == []
    assert list((run.store / "objects").rglob(".*")) == []


@pytest.mark.parametrize("name", RUNS)
def test_no_process_survives(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    assert run.sandbox.processes() == {}


@pytest.mark.parametrize("name", RUNS)
def test_nothing_outside_this_machine_is_asked_for(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    outside = run.sandbox.watch / "outside.log"
    assert not outside.exists(), outside.read_text("utf-8")


def test_every_process_of_a_run_was_watched(flights: Run) -> None:
    started = (flights.sandbox.watch / "processes.log").read_text("utf-8")
    for command in (
        "bin/e2i-run",
        "launch.py e2i.workers.worker",
        "launch.py e2i.execution.delivery",
        "bentoml/server.py",
    ):
        assert command in started


def test_the_watch_sees_and_stops_what_goes_outside(tmp_path: Path) -> None:
    sandbox = Sandbox.make(tmp_path / "sandbox")
    program = "import socket\nsocket.create_connection(('192.0.2.1', 443), timeout=5)"
    done = subprocess.run(
        [str(sandbox.python), "-P", "-c", program], env=sandbox.environ, capture_output=True, text=True, check=False
    )
    assert "Network is unreachable" in done.stderr or "outside of this machine" in done.stderr
    assert "192.0.2.1" in (sandbox.watch / "outside.log").read_text("utf-8")


def test_the_whole_route_runs_without_any_network(conversion: Run, no_network: bool) -> None:
    if not no_network:
        pytest.skip("this kernel lets nobody have a network of their own")
    assert conversion.end["status"] == "succeeded"
    assert conversion.end["outputs"]["served_equals_local"] <= 1e-6


def test_the_store_holds_no_pickle(flights: Run, conversion: Run) -> None:
    for run in (flights, conversion):
        pickles = [path for path in run.store.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
        assert pickles == []
