"""``e2i run --resume RUN``: the same run as it was started, whatever has become of its files; or why not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from e2i import api
from e2i.errors import Refused
from e2i.store.database import FILE
from e2i.store.past import RecordedOptions
from project import ENGINE, Project, lines, until
from store.written import plan_text

PART = "version: 1\nname: part\nparams: {x: {type: integer}}\nsteps: {double: {uses: debug.echo, with: {value: '${{ params.x * 2 }}'}}}\noutputs: {y: '${{ steps.double.value }}'}\n"
SPEC = """
version: 1
name: stops
params: {n: {type: integer, default: 3}}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  stop: {uses: python.call, needs: [first], with: {file: code.py, function: once}}
  part: {uses: ./part.yaml, needs: [stop], with: {x: "${{ steps.first.value }}"}}
outputs: {y: "${{ steps.part.y }}"}
"""
ONCE = """
from pathlib import Path

def once():
    if not Path("go").exists():
        raise ValueError("not yet")
    return 1
"""


@pytest.fixture
def stopped(project: Project) -> str:
    """Returns the id of a run that failed at its second step; with the file ``go``, the step succeeds."""
    project.write("code.py", ONCE)
    project.write("s.yaml", SPEC)
    project.write("part.yaml", PART)
    project.write("config/other.yaml", "flush: 4\n")
    result = project.cli("run", "s.yaml", "--json", "-p", "n=7", "--profile", "other", "--select", "+part")
    assert result.returncode == 1, result.stderr
    project.write("go", "")
    return str(lines(result.stdout)[0]["run"])


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)


def ending(result: subprocess.CompletedProcess[str]) -> tuple[Any, Any]:
    last = lines(result.stdout)[-1]
    return last["outputs"], {step: found["status"] for step, found in last["steps"].items()}


def test_a_run_is_resumed_as_it_was_started_without_its_files(project: Project, stopped: str) -> None:
    project.write("s.yaml", "version: 1\nname: other\nsteps: {a: {uses: debug.echo}}\n")
    (project.root / "part.yaml").unlink()
    result = project.cli("run", "--resume", stopped, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert ending(result) == (
        {"y": 14},
        {"first": "reused", "stop": "succeeded", "part/double": "succeeded"},
    )
    assert result.stderr == "resuming with profile other\n"
    past = api.recorded(stopped, project.workspace)
    assert (past.profile, past.params, past.corrupt) == ("other", {"n": 7}, ())
    assert past.options == RecordedOptions(select=("+part",), fresh=False, origin="human", bound=False)
    assert past.included == {"part.yaml": PART}


def test_a_spec_that_has_changed_is_reported_in_one_line(project: Project, stopped: str) -> None:
    unchanged = project.cli("run", "s.yaml", "--resume", stopped, "--profile", "other", "--json")
    assert (unchanged.returncode, unchanged.stderr) == (0, "")
    project.write("s.yaml", SPEC + "# later\n")
    project.write("part.yaml", PART + "# later\n")
    result = project.cli("run", "s.yaml", "--resume", stopped, "--profile", "other", "--json")
    assert result.returncode == 0
    (reported,) = result.stderr.splitlines()
    assert "s.yaml, part.yaml" in reported and stopped in reported


def test_a_mapping_and_a_text_are_resumed_too(project: Project) -> None:
    project.write("code.py", ONCE)
    mapping = {
        "version": 1,
        "name": "m",
        "steps": {
            "a": {"uses": "debug.echo", "with": {"value": "ü: \U0001f600"}},
            "b": {"uses": "python.call", "needs": ["a"], "with": {"file": "code.py", "function": "once"}},
        },
    }
    runs = [project.run(mapping).run, project.run(json.dumps(mapping, indent=1, ensure_ascii=False)).run]
    project.write("go", "")
    for run in runs:
        record = api.resume(run, workspace=project.workspace)
        assert {step: end.status.value for step, end in record.steps.items()}["b"] in ("succeeded", "reused")
        assert record.run == run


def test_a_run_of_an_agent_stays_one(project: Project) -> None:
    project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo}}\n")
    started = project.cli("run", "s.yaml", "--origin", "agent", "--json")
    run = lines(started.stdout)[0]["run"]
    assert project.cli("run", "--resume", "last").returncode == 0
    assert api.recorded(run, project.workspace).options.origin == "agent"


@pytest.mark.parametrize("given", [["-p", "n=1"], ["--select", "first"], ["--fresh"], ["--dry-run"]])
def test_the_options_of_the_run_cannot_be_set_again(project: Project, given: list[str]) -> None:
    result = project.cli("run", "--resume", "some", *given)
    assert result.returncode == 2
    assert given[0] in result.stderr and "cannot be used with --resume" in result.stderr


def test_without_a_spec_and_without_a_run_there_is_nothing_to_do(project: Project) -> None:
    result = project.cli("run")
    assert result.returncode == 2 and "SPEC" in result.stderr


def test_a_run_whose_records_were_altered_is_not_resumed(project: Project, stopped: str) -> None:
    with closing(sqlite3.connect(project.store / FILE)) as database, database:
        database.execute("UPDATE steps SET status = 'succeeded', error = NULL WHERE step = 'stop'")
    result = project.cli("run", "--resume", stopped)
    assert result.returncode == 3
    assert "altered" in result.stderr and "step stop" in result.stderr and "[state-altered]" in result.stderr
    doctor = project.cli("doctor")
    assert f"the step {stopped}.stop was altered" in doctor.stdout + doctor.stderr
    assert doctor.returncode == 4


# One process at a time


def test_a_running_run_is_refused_with_its_holder(project: Project) -> None:
    project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.sleep, with: {seconds: 600}}}\n")
    with project.start("run", "s.yaml", "--json") as process:
        run = next(events(process))["run"]
        assert until(lambda: "running" in {step.status for step in api.recorded(run, project.workspace).steps})
        refused = project.cli("run", "--resume", run)
        assert refused.returncode == 3
        assert f"process {process.pid} on {os.uname().nodename} since 20" in refused.stderr
        assert "[run-held]" in refused.stderr
        process.send_signal(signal.SIGSTOP)  # a process that sleeps is alive
        assert project.cli("run", "--resume", run).returncode == 3
        process.send_signal(signal.SIGCONT)
        process.kill()


def test_a_killed_holder_is_taken_over_at_once(project: Project) -> None:
    project.write("s.yaml", f"version: 1\nname: s\nsteps: {{a: {{{project.hold()}}}}}\n")
    with project.start("run", "s.yaml", "--json") as process:
        run = next(event["run"] for event in events(process) if event["event"] == "step.started")
        process.kill()
    project.let_go()
    resumed = project.cli("run", "--resume", run, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert ending(resumed)[1] == {"a": "succeeded"}


def test_resuming_from_python_is_refused_while_another_process_is_at_it(project: Project) -> None:
    code = (
        "import sys; from pathlib import Path; from e2i import api; from e2i.store.rows import RunRow; from e2i.store.runs import RunStore;"
        "from e2i.resilience.processes import process_identity;"
        "store = RunStore(Path(sys.argv[1]), lambda digest: True);"
        "store.start_run(RunRow(run='r1', pipeline='p', status='running', started_ms=1, holder=process_identity(),"
        " file='x', spec='version: 1\\nname: p\\nsteps: {a: {uses: debug.echo}}\\n', profile='default', params='{}',"
        " plan=sys.argv[2])); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(project.store), plan_text()],
        cwd=project.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ENGINE)},
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdout.readline() == b"ready\n"
        with pytest.raises(Refused, match=f"process {other.pid} "):
            api.resume("r1", workspace=project.workspace)
    assert api.resume("r1", workspace=project.workspace).status == "succeeded"


def test_the_first_line_and_the_commands_of_a_resumed_run_are_those_of_its_profile(project: Project) -> None:
    project.write("code.py", ONCE)
    project.write(
        "s.yaml", "version: 1\nname: s\nsteps: {a: {uses: python.call, with: {file: code.py, function: once}}}\n"
    )
    project.write("config/hard.yaml", 'tools: {mlflow: {tracking_uri: "http://127.0.0.1:9"}}\n')
    started = project.cli("run", "s.yaml", "--profile", "hard")
    assert started.returncode == 1, started.stderr
    resumed = project.cli("run", "--resume", "last")
    note, first, *_ = resumed.stderr.splitlines()
    assert note == "resuming with profile hard"
    assert first.startswith("mlflow http://127.0.0.1:9 (config/hard.yaml); ") and first.endswith("; profile hard")
    assert first == started.stderr.splitlines()[0]
