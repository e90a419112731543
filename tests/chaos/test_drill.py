"""The operator's drill: the flagship on real servers, each of which fails in turn. Each ends as docs/operations.md says."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from live.conftest import cache, cluster, mlflow_server, objects, postgres, redis, s3, tracker
from live.faucet import faucet
from live.servers import MLflow, ObjectStore, Postgres, Server
from project import Project
from tools.opik.stand_in import StandIn

__all__ = ["cache", "cluster", "mlflow_server", "objects", "postgres", "redis", "s3", "tracker"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
SMALL = (
    "-p",
    "rows=4000",
    "-p",
    "trials=6",
    "-p",
    "parallel=2",
    "-p",
    "explain_rows=200",
    "-p",
    "least_auc=0.5",
    "-p",
    "requests=60",
)
COMMAND = ("run", "hcp_conversion.yaml", "--profile", "prod", "--json", *SMALL)
PUBLISH = """
  publish:
    agent: data_preparer
    uses: feast.materialize
    with: {repo: "${{ steps.features.repo }}"}
"""
"""What the flagship leaves out: features in the online store."""
PASSWORD = "right-4711-password"
HELD_SECONDS = 20.0
"""How long a server stays down. The flagship's retries take less than that, so a step may fail or wait."""


class Fleet:
    """The flagship in a project whose profile ``prod`` leads to real servers."""

    def __init__(self, project: Project, postgres: Postgres, redis: Server, mlflow: MLflow) -> None:
        self.project, self.postgres, self.redis, self.mlflow = project, postgres, redis, mlflow
        self.printed = ""
        for folder in ("specs", "config/expectations"):
            shutil.copytree(ROOT / folder, project.root / folder, dirs_exist_ok=True)
        spec = (ROOT / "specs/hcp_conversion.yaml").read_text("utf-8")
        project.write("hcp_conversion.yaml", spec.replace("\n  join:\n", f"{PUBLISH}\n  join:\n", 1))
        self.registry, self.studies = (
            postgres.database().replace("postgresql:", "postgresql+psycopg:") for _ in range(2)
        )
        self.configure()

    def configure(self, *, opik: str | None = None, shared: dict[str, Any] | None = None, **online: Any) -> None:
        tools: dict[str, dict[str, Any]] = {
            "mlflow": {"tracking_uri": self.mlflow.uri, "deadline": 20},
            "feast": {
                "registry": {"type": "sql", "url": self.registry},
                "online_store": {"type": "redis", "host": "127.0.0.1", "port": self.redis.port, **online},
                "deadline": 10,
            },
            "optuna": {"study_storage": self.studies},
        }
        config: dict[str, Any] = {"sinks": ["mlflow"], "flush": 20, "tools": tools}
        if opik is not None:
            config["sinks"], tools["opik"] = ["mlflow", "opik"], {"url": opik}
        if shared is not None:
            config["shared"] = shared
        self.project.write("config/prod.yaml", yaml.safe_dump(config))

    def run(self) -> tuple[int, dict[str, Any]]:
        """Run it to its end; return the exit code and the last line."""
        done = self.project.cli(*COMMAND)
        return done.returncode, _last(done.stdout)

    def independent(self, tool: str) -> list[str]:
        """The steps that neither use the tool nor need one that does."""
        planned = self.project.cli("plan", "hcp_conversion.yaml", "--profile", "prod", "--json", *SMALL)
        found: list[str] = []
        for step in json.loads(planned.stdout)["steps"]:  # in the order of their needs
            if not step["uses"].startswith(f"{tool}.") and set(step["needs"]) <= set(found):
                found.append(step["id"])
        return found

    def during(self, action: Callable[[], None]) -> tuple[int, dict[str, Any]]:
        """Run it, do something once it trains, and return how it ended."""
        process = self.project.start(*COMMAND)
        assert process.stdout is not None
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            if re.search(r'"step\.started".*"(tune|search)', line) or re.search(r'"step": ?"(tune|search)', line):
                break
        action()
        out, _ = process.communicate(timeout=400)
        self.printed = "".join(seen) + out
        return process.returncode, _last(self.printed)

    def elsewhere(self, folder: Path) -> Fleet:
        """Return the same project on another machine: the same servers, and no results."""
        other = Fleet.__new__(Fleet)
        other.__dict__.update(self.__dict__)
        other.project = Project(folder)
        shutil.copytree(self.project.root, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".e2i"))
        return other

    def assert_whole(self) -> None:
        """The servers have what one run leaves, once."""
        client = self.mlflow.client()
        versions = client.search_model_versions("name='hcp_conversion'")
        assert len(versions) == 2, "the champion and the candidate"
        runs = client.search_runs([client.get_experiment_by_name("hcp_conversion").experiment_id])
        pipelines = [run for run in runs if "e2i.run" in run.data.tags]
        assert {run.info.status for run in pipelines} <= {"FINISHED", "FAILED", "KILLED"}
        assert any(run.info.status == "FINISHED" for run in pipelines)
        with psycopg.connect(self.studies.replace("+psycopg", "")) as connection:
            row = connection.execute(
                "SELECT count(*), count(DISTINCT number) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
            ).fetchone()
        assert row == (6, 6)


def _last(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.splitlines()[-1]) if output.strip() else {}
    return found


@pytest.fixture
def fleet(project: Project, postgres: Postgres, redis: Server, mlflow_server: MLflow) -> Iterator[Fleet]:
    yield Fleet(project, postgres, redis, mlflow_server)
    for server in (postgres, redis, mlflow_server):
        server.start()


def empty_tracker(mlflow: MLflow) -> None:
    client = mlflow.client()
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)


@pytest.mark.parametrize("name", ["mlflow", "redis", "postgres"])
def test_a_server_that_dies_and_comes_back_costs_at_most_a_second_command(fleet: Fleet, name: str) -> None:
    empty_tracker(fleet.mlflow)
    server: Any = getattr(fleet, name)

    def die_and_return() -> None:
        server.kill()
        time.sleep(HELD_SECONDS)
        server.start()

    code, last = fleet.during(die_and_return)
    assert code in (0, 4), last
    for _ in range(3):
        code, last = fleet.run()
        if code == 0 and last["status"] == "succeeded":
            break
        time.sleep(10)
    assert (code, last["status"]) == (0, "succeeded")
    assert fleet.project.cli("sync", "--profile", "prod").returncode == 0
    fleet.assert_whole()


def test_opik_that_dies_and_comes_back_costs_the_run_nothing_and_gets_everything_once(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty_tracker(fleet.mlflow)
    opik = StandIn(tmp_path_factory.mktemp("opik") / "traces.db")
    opik.start()
    try:
        fleet.configure(opik=opik.url)

        def die_and_return() -> None:
            opik.stop()
            time.sleep(HELD_SECONDS)
            opik.start()

        code, last = fleet.during(die_and_return)
        assert (code, last["status"]) == (0, "succeeded"), last
        for _ in range(2):
            assert fleet.project.cli("sync", "--profile", "prod").returncode == 0
        with closing(sqlite3.connect(opik.backend.path)) as database:
            rows = database.execute("SELECT kind, document FROM records").fetchall()
        traces, spans = ([json.loads(body) for kind, body in rows if kind == which] for which in ("traces", "spans"))
        (trace,) = traces
        assert trace["end_time"]
        names = Counter(span["name"] for span in spans)
        executed = [name for name, step in last["steps"].items() if step["status"] == "succeeded"]
        assert {name: names[name] for name in executed} == dict.fromkeys(executed, 1)
        fleet.assert_whole()
    finally:
        opik.close()


def test_a_shared_store_that_dies_and_comes_back_costs_the_run_nothing(
    fleet: Fleet, s3: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The stand-in of S3 forgets what it had. What the run could not share, the next machine computes itself."""
    empty_tracker(fleet.mlflow)
    options = {
        "endpoint_override": f"127.0.0.1:{s3.port}", "scheme": "http", "region": "us-east-1", "access_key": "tests",
        "secret_key": "tests-secret",
    }  # fmt: skip
    fleet.configure(shared={"url": f"s3://{s3.bucket('drill')}/e2i", "options": options})

    def die_and_return() -> None:
        s3.kill()
        time.sleep(HELD_SECONDS)
        s3.start()
        s3.bucket("drill")

    code, last = fleet.during(die_and_return)
    assert (code, last["status"]) == (0, "succeeded"), last
    assert any('"tool.degraded"' in line and "shared store" in line for line in fleet.printed.splitlines())
    other = fleet.elsewhere(tmp_path_factory.mktemp("other"))
    code, last = other.run()
    assert (code, last["status"]) == (0, "succeeded"), last
    fleet.assert_whole()


def test_a_terminated_run_is_closed_in_the_tracker_and_resumed_by_the_same_command(fleet: Fleet) -> None:
    empty_tracker(fleet.mlflow)
    process = fleet.project.start(*COMMAND)
    assert process.stdout is not None
    for line in process.stdout:
        if '"tune"' in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    assert process.returncode == 143
    client = fleet.mlflow.client()
    experiment = client.get_experiment_by_name("hcp_conversion")
    assert "RUNNING" not in {
        run.info.status for run in client.search_runs([experiment.experiment_id]) if "e2i.run" in run.data.tags
    }
    code, last = fleet.run()
    assert (code, last["status"]) == (0, "succeeded")
    fleet.assert_whole()


def test_a_full_disk_is_named_and_the_run_is_resumed_when_there_is_room(fleet: Fleet) -> None:
    empty_tracker(fleet.mlflow)
    fleet.project.store.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(fleet.project.store)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        code, last = fleet.run()
        assert code == 4, last
        subprocess.run(["mount", "-o", "remount,size=1g", str(fleet.project.store)], check=True)
        code, last = fleet.run()
        assert (code, last["status"]) == (0, "succeeded")
        fleet.assert_whole()
    finally:
        subprocess.run(["umount", "--lazy", str(fleet.project.store)], check=True)


def test_a_wrong_password_is_a_mistake_of_the_configuration(fleet: Fleet) -> None:
    import redis

    empty_tracker(fleet.mlflow)
    client = redis.Redis(port=fleet.redis.port)
    client.config_set("requirepass", PASSWORD)
    try:
        process = fleet.project.cli(*COMMAND)
        errors = [line for line in process.stdout.splitlines() if "tool-auth" in line]
        assert process.returncode == 2, process.stdout[-2000:]
        assert errors
        fleet.configure(password=PASSWORD)
        code, last = fleet.run()
        assert (code, last["status"]) == (0, "succeeded")
        fleet.assert_whole()
    finally:
        redis.Redis(port=fleet.redis.port, password=PASSWORD).config_set("requirepass", "")


@pytest.mark.parametrize("kind", ["silent", "dripping"])
def test_trackers_that_are_down_all_the_time_get_everything_once_they_are_back(fleet: Fleet, kind: str) -> None:
    """The flagship without its steps of MLflow and those below them; all that it sends to MLflow is telemetry."""
    empty_tracker(fleet.mlflow)
    select = [word for name in fleet.independent("mlflow") for word in ("--select", name)]
    with faucet(fleet.mlflow.port) as tap:
        tap.flow = kind  # type: ignore[assignment]  # as parametrized
        fleet.mlflow.uri, uri = f"http://127.0.0.1:{tap.port}", fleet.mlflow.uri
        try:
            fleet.configure()
        finally:
            fleet.mlflow.uri = uri
        done = fleet.project.cli(*COMMAND, *select)
        last = _last(done.stdout)
        assert (done.returncode, last["status"], last["degraded"]) == (0, "succeeded", True), done.stderr
        tap.flow = "flowing"
        assert fleet.project.cli("sync", "--profile", "prod").returncode == 0
        assert fleet.project.cli("sync", "--profile", "prod").returncode == 0
    client = fleet.mlflow.client()
    runs = client.search_runs([client.get_experiment_by_name("hcp_conversion").experiment_id])
    (run,) = [run for run in runs if "e2i.run" in run.data.tags]
    assert (run.info.status, run.data.tags["e2i.run"]) == ("FINISHED", last["run"])
    done_steps = {name for name, step in last["steps"].items() if step["status"] == "succeeded"}
    assert {name for name in run.data.tags if name.startswith("e2i.step.")} >= {
        f"e2i.step.{name}" for name in done_steps
    }


def test_an_emptied_online_store_is_filled_again(fleet: Fleet) -> None:
    import redis

    empty_tracker(fleet.mlflow)
    assert fleet.run()[0] == 0
    client = redis.Redis(port=fleet.redis.port)
    before = client.dbsize()
    assert before
    client.flushall()
    code, last = fleet.run()
    assert (code, last["status"]) == (0, "succeeded")
    assert client.dbsize() == before


def test_two_machines_share_results_and_each_has_its_own_effects(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two stores that share results: what is on this machine only, such as Bentos, is made on each."""
    empty_tracker(fleet.mlflow)
    fleet.configure(shared={"url": f"file://{tmp_path_factory.mktemp('shared')}"})
    second = fleet.elsewhere(tmp_path_factory.mktemp("other"))
    assert fleet.run()[0] == 0
    code, last = second.run()
    assert (code, last["status"]) == (0, "succeeded")
    assert list((second.project.store / "bentoml").rglob("bento.yaml"))
    fleet.assert_whole()
