"""``e2i doctor`` reports on tools, the store and the shared store, and its documents match their schemas."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from e2i.catalog.questions import Question
from e2i.cli import schemas
from e2i.cli.doctor_view import INDENT
from e2i.cli.main import e2i
from e2i.resilience.breaker import CircuitOpen, Outcome
from e2i.resilience.circuits import breaker_of
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from project import Project

LOADS = """
version: 1
name: loads
params: {file: {type: string, default: bad.parquet}}
steps: {load: {uses: data.load, with: {path: "${{ params.file }}"}}}
"""


def reported(project: Project, *arguments: str) -> Result:
    with contextlib.chdir(project.root):
        return CliRunner().invoke(e2i, list(arguments), prog_name="e2i", env={"E2I_STORE": None})


def document(project: Project, kind: str, *arguments: str, code: int = 0) -> Any:
    """What a command prints with ``--json``, which fits its schema."""
    done = reported(project, *arguments, "--json")
    assert done.exit_code == code, done.stderr
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schemas.schema(kind)).validate(found)
    return found


def tool(found: Any, name: str) -> Any:
    return next(tool for tool in found["tools"] if tool["tool"] == name)


def test_a_tool_that_never_failed_and_waits_for_nothing_is_one_short_line(project: Project) -> None:
    found = document(project, "doctor", "doctor")
    circuit = {
        "server": None, "failure_threshold": 5, "recovery_timeout": 30.0, "half_open_requests": 3, "state": "closed",
        "next_attempt": None, "failures": 0, "probes": 0, "ok": 0, "failed": 0, "ignored": 0, "rejected": 0,
        "changes": 0,
    }  # fmt: skip
    assert tool(found, "mlflow") == {
        "tool": "mlflow", "installed": tool(found, "mlflow")["installed"], "mode": "embedded", "reachable": True,
        "services": [], "breaker": "closed", "next_attempt": None, "circuits": [circuit], "last_failure": None, "outbox": 0,
        "refused": 0,
    }  # fmt: skip
    assert found["shared"] is None
    assert "circuit" not in reported(project, "doctor").stdout


def test_a_circuit_that_was_used_is_shown_with_its_settings_and_counts(project: Project) -> None:
    given = "{failure_threshold: 2, recovery_timeout: 20, half_open_requests: 1}"
    project.write("config/default.yaml", f"sinks: []\ntools: {{mlflow: {{circuit_breaker: {given}}}}}\n")
    project.store.mkdir(mode=0o700)
    breaker = breaker_of(project.store, "mlflow", project.workspace.settings.tool("mlflow"))
    breaker.call(list)
    shown = (
        f"{INDENT} circuit closed (opens after 2 failures, 1 probe after 20 s): 1 ok, 0 failed, 0 ignored, 0 rejected"
    )
    assert shown in reported(project, "doctor").stdout
    for _ in range(2):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)
    with pytest.raises(CircuitOpen):
        breaker.call(list)
    breaker.circuit  # noqa: B018 - writes the count of rejected calls
    (circuit,) = tool(document(project, "doctor", "doctor"), "mlflow")["circuits"]
    assert 0 < circuit.pop("next_attempt") <= 20
    assert circuit == {
        "server": None, "failure_threshold": 2, "recovery_timeout": 20.0, "half_open_requests": 1, "state": "open",
        "failures": 0, "probes": 0, "ok": 1, "failed": 2, "ignored": 0, "rejected": 1, "changes": 1,
    }  # fmt: skip
    line = r"circuit open, next attempt in \d+\.\d s \(opens after 2 failures, 1 probe after 20 s\): 1 ok, 2 failed, 0 ignored, 1 rejected"
    assert re.search(line, reported(project, "doctor").stdout)


def test_the_last_failure_of_a_tool_is_reported_until_it_succeeds_again(project: Project) -> None:
    project.write("bad.parquet", "no table")
    project.write("good.csv", "x\n1\n")
    failed = project.run(LOADS)
    failure = tool(document(project, "doctor", "doctor"), "data")["last_failure"]
    assert (failure["run"], failure["step"], failure["uses"]) == (failed.run, "load", "data.load")
    assert (failure["code"], failure["succeeded_since"]) == ("unreadable-file", 0)
    assert f"load of run {failed.run} failed at" in reported(project, "doctor").stdout
    project.run(LOADS, {"file": "good.csv"})
    assert tool(document(project, "doctor", "doctor"), "data")["last_failure"]["succeeded_since"] == 1
    assert "failed at" not in reported(project, "doctor").stdout


def test_what_waits_for_a_tracker_and_what_it_refused_are_counted(project: Project) -> None:
    project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    project.run("version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    with Outbox(project.store / "state.db") as outbox:
        outbox.put([Entry(f"r/{n}", "opik", "r", "metric", {"value": n}) for n in range(3)])
        outbox.dead_letter(outbox.take("opik", 1), "no")
    found = tool(document(project, "doctor", "doctor"), "opik")
    assert (found["outbox"], found["refused"]) == (2, 1)
    assert "reachable  2 waiting  1 refused" in reported(project, "doctor").stdout
    with sqlite3.connect(project.store / "state.db") as database:
        database.execute("UPDATE outbox SET body = '{\"value\":9}' WHERE key = 'r/2'")
    corrupt = document(project, "doctor", "doctor", code=4)["state"]["corruption"]
    assert corrupt == ["the entry r/2 of the outbox for opik was altered"]


def test_the_shared_store_is_examined(project: Project, tmp_path: Path) -> None:
    project.write("config/default.yaml", f"sinks: []\nshared: {{url: 'file://{tmp_path}/net', trust: team}}\n")
    before = document(project, "doctor", "doctor")["shared"]
    assert before == {
        "url": f"file://{tmp_path}/net", "trust": "team", "reachable": True, "writable": True, "results": 0,
        "problem": None,
    }  # fmt: skip
    project.run("version: 1\nname: q\nsteps: {a: {uses: debug.echo}, b: {uses: debug.echo, with: {value: 2}}}\n")
    assert document(project, "doctor", "doctor")["shared"]["results"] == 2
    assert f"shared store file://{tmp_path}/net (team)  reachable, 2 results" in reported(project, "doctor").stdout
    assert [path.name for path in (tmp_path / "net/v1/team").iterdir()] == ["results"]


def test_a_shared_store_that_takes_nothing_is_reported_without_its_password(project: Project, tmp_path: Path) -> None:
    (tmp_path / "net").write_text("a file, not a folder")
    project.write("config/default.yaml", f"sinks: []\nshared: {{url: 'file://{tmp_path}/net'}}\n")
    found = document(project, "doctor", "doctor", code=4)["shared"]
    assert (found["reachable"], found["writable"]) == (True, False)
    assert found["problem"]
    assert "reachable, not writable" in reported(project, "doctor").stdout
    project.write("config/default.yaml", "sinks: []\nshared: {url: 'unheard://me:secret@host/x'}\n")
    found = document(project, "doctor", "doctor", code=4)["shared"]
    assert (found["url"], found["reachable"], found["results"]) == ("unheard://host/x", False, None)
    assert "secret" not in reported(project, "doctor").stdout


@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_what_gc_prints_fits_its_schema(project: Project, option: tuple[str, ...]) -> None:
    run = project.run("version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n").run
    assert document(project, "gc", "gc", "--pin", run)["pinned"] == run
    assert document(project, "gc", "gc", "--keep-days", "0", *option)["runs"] == []
    assert document(project, "gc", "gc", "--unpin", run) == {"schema_version": 1, "pinned": None, "unpinned": run}
    assert document(project, "gc", "gc", "--keep-days", "0", *option)["runs"] == [run]


def test_what_sync_prints_fits_its_schema(project: Project) -> None:
    nothing: dict[str, Any] = {"schema_version": 1, "sinks": {}, "elsewhere": [], "completed": [], "runs": []}
    assert document(project, "sync", "sync") == nothing
    project.write("config/default.yaml", "sinks: [opik]\nflush: 200\n")
    project.run("version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    assert document(project, "sync", "sync")["sinks"]["opik"]["left"] == 0


def test_what_outbox_list_prints_fits_its_schema(project: Project) -> None:
    project.write("config/default.yaml", "sinks: [opik]\nflush: 200\n")
    project.run("version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    (queue,) = document(project, "outbox", "outbox", "list")["trackers"]
    assert (queue["tool"], queue["waiting"], queue["delivered"] > 0) == ("opik", 0, True)
    document(project, "outbox", "outbox", "show", "last")
    document(project, "outbox", "outbox", "retry")


def test_no_password_of_an_address_is_reported(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> str:
        raise RuntimeError("no luck with http://ann:s3cret-Word@h/ nor with s3cret-Word alone")

    import e2i.tools.mlflow.asking as asking

    monkeypatch.setattr(asking, "questions", lambda settings: [Question("tracking", ask, 60)])
    project.write("config/default.yaml", "tools: {mlflow: {tracking_uri: 'http://ann:s3cret-Word@127.0.0.1:9'}}\n")
    done = reported(project, "doctor", "--json")
    assert "no luck with http://" in done.stdout
    assert "s3cret-Word" not in done.stdout + done.stderr
