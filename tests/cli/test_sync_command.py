"""``e2i sync`` delivers what is meant for the trackers of its settings, and names what waits for others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.cli.progress import elsewhere
from e2i.store.database import FILE
from e2i.store.history import Waiting
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from project import Project, lines
from tools.opik.stand_in import StandIn

SPEC = """
version: 1
name: told
steps:
  one: {uses: debug.sleep, with: {seconds: 0, value: 1}}
  two: {uses: debug.sleep, needs: [one], with: {seconds: 0, value: 2}}
"""


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[StandIn]:
    """A tracker that is down until it is started."""
    made = StandIn(tmp_path / "server" / "traces.db")
    yield made
    made.close()


def reported(project: Project, staging: StandIn) -> Project:
    project.write("s.yaml", SPEC)
    project.write("config/default.yaml", "sinks: [opik]\nflush: 200\n")
    staged = f"tools: {{opik: {{url: '{staging.url}', deadline: 60}}}}\n"
    project.write("config/staging.yaml", f"sinks: [opik]\n{staged}")
    return project


def test_what_was_meant_for_one_tracker_is_delivered_to_no_other_and_named(project: Project, staging: StandIn) -> None:
    reported(project, staging)
    ran = project.cli("run", "s.yaml", "--profile", "staging", "--json")
    last = lines(ran.stdout)[-1]
    assert (ran.returncode, last["status"], last["degraded"]) == (0, "succeeded", True), ran.stderr

    synced = project.cli("sync")
    assert synced.returncode == 4
    assert f"entries waiting for {staging.url} (project e2i, workspace default)" in synced.stdout
    assert "e2i sync --profile staging" in synced.stdout
    assert not (project.root / ".e2i" / "opik" / "traces.db").exists()

    again = project.cli("run", "s.yaml", "--fresh", "--json")
    events = lines(again.stdout)
    (waiting,) = [event for event in events if event["event"] == "telemetry.waiting"]
    assert (waiting["tool"], waiting["profile"]) == ("opik", "staging")
    assert (again.returncode, events[-1]["degraded"]) == (0, False)
    assert staging.requests == {}

    staging.start()
    delivered = project.cli("sync", "--profile", "staging", "--json")
    document = json.loads(delivered.stdout)
    assert (delivered.returncode, document["elsewhere"], document["sinks"]["opik"]["left"]) == (0, [], 0), delivered
    assert document["sinks"]["opik"]["delivered"] == waiting["waiting"]
    assert staging.requests["POST /api/v1/private/traces/batch"] >= 1
    nothing = project.cli("sync")
    assert (nothing.returncode, nothing.stdout) == (0, "opik: 0 delivered, 0 waiting, 0 refused\n")


def test_what_was_meant_for_an_address_that_the_same_profile_had_before_says_what_to_do() -> None:
    waiting = Waiting("opik", '{"url": "http://former/api"}', 3, profile="staging")
    assert elsewhere(waiting.seen_from("default")).endswith(": e2i sync --profile staging --to http://former/api")
    seen = waiting.seen_from("staging")
    assert (seen.tracker, seen.profile) == ("http://former/api", None)
    assert elsewhere(seen) == "3 entries waiting for http://former/api: e2i sync --to http://former/api"


def test_sync_has_a_time_of_its_own_and_the_printed_command_delivers(project: Project, staging: StandIn) -> None:
    reported(project, staging)
    project.write("config/default.yaml", "sinks: [opik]\nflush: 0\n")
    project.cli("run", "s.yaml", "--profile", "staging", "--json")
    staging.start()
    printed = project.cli("sync", "--timeout", "0").stdout.strip().rpartition(": e2i ")[2]
    assert printed == f"sync --profile staging --to {staging.url}"
    done = project.cli(*printed.split(), "--timeout", "0")
    assert done.stdout.startswith("opik: 4 delivered, 0 waiting, 0 refused"), done.stdout + done.stderr


def test_a_strict_run_whose_telemetry_waits_has_an_exit_code_of_its_own(project: Project, staging: StandIn) -> None:
    reported(project, staging)
    strict = project.cli("run", "s.yaml", "--profile", "staging", "--strict")
    assert strict.returncode == 4
    assert "succeeded, degraded" in strict.stdout
    assert project.cli("run", "s.yaml", "--fresh", "--strict").returncode == 0


def test_a_strict_run_with_a_deferred_step_has_it_too(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nworkers: 1\ntools: {opik: {url: 'http://127.0.0.1:9/api'}}\n")
    project.write(
        "s.yaml",
        "version: 1\nname: put_off\nsteps:\n  look:\n    uses: opik.score\n    on_unavailable: defer\n"
        "    retry: {attempts: 1}\n    with: {name: m, value: 1.0}\n",
    )
    for options, code in (((), 0), (("--strict",), 4)):
        done = project.cli("run", "s.yaml", "--json", *options)
        last = lines(done.stdout)[-1]
        assert (done.returncode, last["degraded"], last["steps"]["look"]["status"]) == (code, True, "deferred")


@pytest.mark.slow
def test_telemetry_that_is_refused_is_reported_at_the_end_of_the_run(project: Project, staging: StandIn) -> None:
    reported(project, staging)
    staging.mood = "refusing"
    staging.start()
    done = project.cli("run", "s.yaml", "--profile", "staging", "--json", "--strict")
    events = lines(done.stdout)
    (degraded,) = [event for event in events if event["event"] == "tool.degraded"]
    assert (done.returncode, degraded["waiting"], events[-1]["degraded"]) == (4, 0, True), done.stderr
    assert degraded["refused"] > 0
    staging.mood = "well"
    assert project.cli("sync", "--profile", "staging", "--refused").returncode == 0


def test_the_runs_of_programs_are_printed_with_both_ids_once_they_are_delivered(project: Project) -> None:
    """A program began two runs; the tracker has accepted one of them as it is."""
    project.write("config/default.yaml", "sinks: [opik]\n")
    local = "0123456789abcdef" * 2
    started = {"pipeline": "p", "params": {}, "started_ms": 1_764_000_000_000}

    def put(moment: int) -> None:
        with Outbox(project.store / FILE) as outbox:
            for run in (local, "f" * 32):
                outbox.put([Entry(f"{run}/{moment}", "opik", run, "run.started", started)])
            outbox.name("opik", "", local, "trace-7")

    put(1)
    synced = project.cli("sync")
    assert (synced.returncode, synced.stdout) == (
        0,
        f"opik: 2 delivered, 0 waiting, 0 refused\n  {local} → trace-7\n",
    ), synced.stderr
    put(2)
    (run,) = json.loads(project.cli("sync", "--json").stdout)["runs"]
    assert (run["tool"], run["local"], run["remote"]) == ("opik", local, "trace-7")
    assert run["tracker"] == "the embedded tracker of the store"
    assert json.loads(project.cli("sync", "--json").stdout)["runs"] == []


@pytest.mark.slow
def test_what_is_meant_for_an_address_of_no_profile_is_delivered_there_on_demand(
    project: Project, staging: StandIn
) -> None:
    """As a program leaves it that brings settings of its own, or a profile whose address has changed."""
    reported(project, staging)
    project.cli("run", "s.yaml", "--profile", "staging", "--json")
    (project.root / "config/staging.yaml").unlink()
    staging.start()
    wrong = project.cli("sync", "--to", "http://127.0.0.1:9/api")
    assert (wrong.returncode, staging.url in wrong.stderr) == (2, True), wrong.stderr
    done = project.cli("sync", "--to", staging.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("opik: 4 delivered, 0 waiting, 0 refused")
    assert staging.requests["POST /api/v1/private/traces/batch"] >= 1
    assert not (project.root / ".e2i" / "opik" / "traces.db").exists()


def test_nothing_of_a_staging_run_reaches_the_embedded_trackers_of_the_default_profile(project: Project) -> None:
    project.write("s.yaml", SPEC)
    project.write("config/default.yaml", "sinks: [mlflow, opik]\nflush: 1\n")
    project.write(
        "config/staging.yaml",
        "tools: {mlflow: {tracking_uri: 'http://127.0.0.1:9'}, opik: {url: 'http://127.0.0.1:9/api'}}\n",
    )
    ran = project.cli("run", "s.yaml", "--profile", "staging", "--json")
    assert (ran.returncode, lines(ran.stdout)[-1]["degraded"]) == (0, True), ran.stderr
    for _ in range(2):
        synced = project.cli("sync", "--json")
        document = json.loads(synced.stdout)
        assert (synced.returncode, document["sinks"]["mlflow"]["delivered"]) == (4, 0), synced.stderr
        found = {item["tool"]: (item["tracker"], item["profile"], item["waiting"]) for item in document["elsewhere"]}
        assert found == {
            "mlflow": ("http://127.0.0.1:9", "staging", 4),
            "opik": ("http://127.0.0.1:9/api (project e2i, workspace default)", "staging", 4),
        }
    assert not (project.store / "mlflow" / "mlflow.db").exists()
    assert not (project.store / "opik" / "traces.db").exists()
    back = json.loads(project.cli("sync", "--profile", "staging", "--json").stdout)
    assert (back["elsewhere"], back["sinks"]["mlflow"]["left"], back["sinks"]["opik"]["left"]) == ([], 4, 4)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:secret-77@127.0.0.1:9/api",
        "http://secret-77@127.0.0.1:9/api",
        "http://127.0.0.1:9/api?token=secret-77",
    ],
)
def test_credentials_on_the_command_line_are_refused(address: str, project: Project) -> None:
    wrong = project.cli("sync", "--to", address)
    assert (wrong.returncode, "secret-77" in wrong.stdout + wrong.stderr) == (2, False), wrong.stderr
    for name in ("MLFLOW_TRACKING_PASSWORD", "OPIK_API_KEY", "--to http://127.0.0.1:9/api"):
        assert name in wrong.stderr
