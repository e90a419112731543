"""Programs of the platform, as their authors write them, with the wheel in an environment of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from live import servers
from live.servers import MLflow
from project import held_port
from scaffold.test_wheel import Installed

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("wheel"))
    made.add_all()
    return made


@pytest.fixture
def folder(installed: Installed, tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()  # the search for a project ends here
    return tmp_path


def execute(installed: Installed, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a Python program in an empty folder does that needs no variables but these."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [installed.bin / "python", *arguments],
        cwd=folder, env={**environ, **variables}, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_validate_tune_train_explain_register_promote_package_and_serve(installed: Installed, folder: Path) -> None:
    done = execute(installed, folder, str(PROGRAMS / "train_and_ship.py"))
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["tag"], printed["version"]) == ("conversion:v1", "2")
    assert 0.75 < printed["auc"] < 0.95
    assert len([line for line in done.stderr.splitlines() if line.startswith("e2i: ")]) == 6


@pytest.mark.slow
def test_effects_are_tuned_explained_and_logged(installed: Installed, folder: Path) -> None:
    done = execute(installed, folder, str(PROGRAMS / "causal_tuning.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok\n"


@contextmanager
def silent(port: int) -> Iterator[None]:
    """A server that accepts and never answers."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(64)
        yield


@pytest.mark.slow
def test_a_silent_tracker_ends_no_training_and_gets_everything_when_it_is_there(
    installed: Installed, folder: Path
) -> None:
    with held_port() as port, servers.folder("later") as home:
        server = MLflow(home, port)
        with silent(port):
            began = time.monotonic()
            done = execute(installed, folder, str(PROGRAMS / "tracker_down.py"), MLFLOW_TRACKING_URI=server.uri)
            seconds = time.monotonic() - began
        assert done.returncode == 0, done.stderr  # it asserts by itself that it took at most 30 s
        assert seconds < 60
        run_id = done.stdout.strip()
        server.start()
        for _ in range(2):
            synced = execute(installed, folder, "-m", "e2i", "sync", MLFLOW_TRACKING_URI=server.uri)
            assert synced.returncode == 0, synced.stdout + synced.stderr
        client = server.client()
        found = [
            run
            for experiment in client.search_experiments()
            for run in client.search_runs([experiment.experiment_id])
            if run.data.tags.get("e2i.run_id") == run_id
        ]
        assert len(found) == 1
        assert found[0].info.status == "FINISHED"
        assert found[0].data.params == {"C": "1.0"}
        steps = [metric.step for metric in client.get_metric_history(found[0].info.run_id, "loss")]
        assert sorted(steps) == list(range(200))
        models = client.search_logged_models([found[0].info.experiment_id])
        assert [(model.name, str(model.status)) for model in models] == [("model", "READY")]
        server.kill()
