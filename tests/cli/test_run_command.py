"""``e2i run`` as its own process: what it prints, how it ends, and what is left when it is stopped or killed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any

import pytest

from printed import parse
from project import ENGINE, LONGEST, Project, lines, until

QUICK = """
version: 1
name: quick
params: {n: {type: integer, default: 3}}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value + 1 }}"}}
outputs: {b: "${{ steps.b.value }}"}
"""
SLOW = """
version: 1
name: slow
steps:
  first: {uses: debug.echo, with: {value: 1}}
  slow: {uses: debug.sleep, needs: [first], with: {seconds: SECONDS}}
  last: {uses: debug.echo, needs: [slow]}
"""
HELD = SLOW.replace("{uses: debug.sleep, needs: [first], with: {seconds: SECONDS}}", "{needs: [first], HOLD}")
"""The second step lasts until the test lets it go."""


def events(stream: IO[str] | None) -> Iterator[dict[str, Any]]:
    assert stream is not None
    for line in stream:
        yield json.loads(line)


def wait_for(process: subprocess.Popen[str], event: str, step: str | None = None) -> dict[str, Any]:
    """The first event of that name; the process stays as it is."""
    return next(found for found in events(process.stdout) if found["event"] == event and step in (None, found["step"]))


def rest(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last event, when the process has ended."""
    found = list(events(process.stdout))
    process.wait(LONGEST)
    return found[-1]


def test_json_lines_are_all_there_is_on_standard_output(project: Project) -> None:
    project.write("q.yaml", QUICK)
    result = project.cli("run", "q.yaml", "--json", "-p", "n=7")
    assert (result.returncode, result.stderr) == (0, "")
    found = lines(result.stdout)
    assert {(line["schema_version"], line["run"]) for line in found} == {(1, found[0]["run"])}
    assert [line["event"] for line in found[:1] + found[-1:]] == ["run.started", "run.finished"]
    assert all({"event", "run", "step", "at"} <= line.keys() for line in found)
    finished = [line for line in found if line["event"] == "step.finished"]
    assert {line["step"]: line["status"] for line in finished} == {"a": "succeeded", "b": "succeeded"}
    last = found[-1]
    assert last["status"] == "succeeded"
    assert last["outputs"] == {"b": 8}
    assert set(last["steps"]) == {"a", "b"}
    assert last["steps"]["a"].keys() == {"status", "attempts", "seconds", "error"}


def test_for_people_the_summary_is_on_standard_output_and_progress_is_not(project: Project) -> None:
    project.write("q.yaml", QUICK)
    result = project.cli("run", "q.yaml")
    assert result.returncode == 0
    assert "quick: succeeded" in result.stdout and "b: 4" in result.stdout
    assert "✓ a  succeeded" in result.stderr and "✓" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "q.yaml"], 0),
        (["run", "fails.yaml"], 1),
        (["run", "bad.yaml"], 2),
        (["run", "none.yaml"], 2),
        (["run", "q.yaml", "-p", "n=many"], 2),
        (["run", "q.yaml", "-p", "m=1"], 2),
        (["run", "q.yaml", "--profile", "nowhere"], 2),
        (["run", "q.yaml", "--select", "z"], 2),
        (["run", "q.yaml", "--plan", "none.json"], 2),
        (["run", "q.yaml", "--plan", "other.json"], 2),
        (["run", "q.yaml", "-p", "n=3", "--plan", "plan.json"], 3),
        (["run", "q.yaml", "--resume", "nothing"], 2),
        (["run", "q.yaml", "--store", "/proc/e2i"], 4),
        (["run", "q.yaml", "--unknown"], 2),
        (["validate", "q.yaml"], 0),
        (["validate", "q.yaml", "bad.yaml"], 2),
        (["plan", "q.yaml", "-o", "/proc/nowhere/plan.json"], 2),
        (["show", "nothing"], 2),
        (["catalog", "debug.ecko"], 2),
    ],
)
def test_the_exit_code_says_how_it_went(project: Project, arguments: list[str], code: int) -> None:
    project.write("q.yaml", QUICK)
    project.write("fails.yaml", "version: 1\nname: f\nsteps: {a: {uses: debug.fail}}\n")
    project.write("bad.yaml", "version: 1\nname: f\nsteps: {a: {uses: debug.fial}}\n")
    document = project.plan(QUICK, {"n": 2}).to_json()
    project.write("plan.json", json.dumps(document))
    project.write("other.json", '{"schema_version": 1, "digest": "sha256:0", "bound": {}, "params": {"n": 3}}')
    result = project.cli(*arguments)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    if code == 4:
        message, hint = result.stderr.splitlines()
        assert "/proc/e2i cannot be written" in message and "--store" in hint


@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_an_error_is_json_too_when_json_is_asked_for(project: Project, command: str) -> None:
    project.write("bad.yaml", "version: 1\nname: f\nsteps: {a: {uses: debug.fial}}\n")
    invalid = project.cli(command, "bad.yaml", "--json")
    document = json.loads(invalid.stdout)
    assert (document["valid"], document["problems"][0]["code"]) == (False, "unknown-action")
    assert document["problems"][0]["fixes"] == [{"op": "replace", "path": "/steps/a/uses", "value": "debug.fail"}]
    missing = project.cli(command, "none.yaml", "--json")
    assert json.loads(missing.stdout)["error"]["code"] == "no-such-spec"
    assert len(lines(project.cli("run", "bad.yaml", "--json").stdout)) == 1


# Interrupted


def test_once_interrupted_what_runs_may_finish_and_nothing_starts(project: Project) -> None:
    project.write("s.yaml", HELD.replace("HOLD", project.hold()))
    with project.start("run", "s.yaml", "--json") as process:
        wait_for(process, "step.started", "slow")
        process.send_signal(signal.SIGINT)
        wait_for(process, "run.stopping")
        project.let_go()
        last = rest(process)
    assert process.returncode == 130
    assert last["status"] == "interrupted"
    assert {step: found["status"] for step, found in last["steps"].items()} == {
        "first": "succeeded", "slow": "succeeded", "last": "cancelled"
    }  # fmt: skip


def test_twice_interrupted_what_runs_is_ended_at_once(project: Project) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "600"))
    with project.start("run", "s.yaml", "--json") as process:
        wait_for(process, "step.started", "slow")
        process.send_signal(signal.SIGINT)
        wait_for(process, "run.stopping")
        process.send_signal(signal.SIGINT)
        last = rest(process)
    assert process.returncode == 130
    assert last["steps"]["slow"]["status"] == "cancelled"


def test_twice_interrupted_a_step_that_ignores_signals_is_ended_too(project: Project) -> None:
    project.write(
        "deaf.py",
        "import signal, time\n"
        "def wait():\n"
        "    for number in (signal.SIGTERM, signal.SIGINT):\n"
        "        signal.signal(number, signal.SIG_IGN)\n"
        "    open('deaf', 'w').close()\n"
        "    time.sleep(600)\n",
    )
    project.write(
        "d.yaml", "version: 1\nname: d\nsteps: {deaf: {uses: python.call, with: {file: deaf.py, function: wait}}}\n"
    )
    with project.start("run", "d.yaml", "--json") as process:
        assert until(lambda: (project.root / "deaf").exists())
        process.send_signal(signal.SIGINT)
        wait_for(process, "run.stopping")
        process.send_signal(signal.SIGINT)
        last = rest(process)
    assert (process.returncode, last["steps"]["deaf"]["status"]) == (130, "cancelled")


def test_sigterm_ends_everything_in_order(project: Project) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "600"))
    with project.start("run", "s.yaml", "--json") as process:
        wait_for(process, "step.started", "slow")
        process.terminate()
        last = rest(process)
    assert (process.returncode, last["status"]) == (143, "interrupted")


def test_an_interrupted_run_is_resumed_with_its_own_parameters_and_repeats_nothing(project: Project) -> None:
    held = project.hold().replace("hold}", "hold, arguments: {value: '${{ params.s }}'}}")
    project.write(
        "s.yaml", HELD.replace("HOLD", held).replace("steps:", "params: {s: {type: number, default: 1}}\nsteps:")
    )
    with project.start("run", "s.yaml", "--json", "-p", "s=1.5") as process:
        run = wait_for(process, "step.started", "slow")["run"]
        process.send_signal(signal.SIGINT)
        wait_for(process, "run.stopping")
        project.let_go()
        rest(process)
    resumed = project.cli("run", "s.yaml", "--json", "--resume", run)
    assert resumed.returncode == 0
    last = lines(resumed.stdout)[-1]
    assert last["run"] == run
    assert {step: found["status"] for step, found in last["steps"].items()} == {
        "first": "reused", "slow": "reused", "last": "succeeded"
    }  # fmt: skip
    assert json.loads(project.cli("show", run, "--json").stdout)["status"] == "succeeded"


# Killed


def test_a_killed_engine_leaves_no_process_and_can_be_continued(project: Project) -> None:
    project.write("config/default.yaml", "sinks: [opik]\nflush: 1\n")
    project.write("s.yaml", HELD.replace("HOLD", project.hold()))
    with project.start("run", "s.yaml", "--json") as process:
        wait_for(process, "step.started", "slow")
        assert until(lambda: project.processes("workers.worker") and project.processes("execution.delivery"))
        process.kill()
    assert until(lambda: not project.processes())
    project.let_go()
    again = project.cli("run", "s.yaml", "--json")
    assert again.returncode == 0
    statuses = {step: found["status"] for step, found in lines(again.stdout)[-1]["steps"].items()}
    assert statuses == {"first": "reused", "slow": "succeeded", "last": "succeeded"}


def test_a_killed_worker_is_named_and_its_step_is_tried_again_if_it_may_be(project: Project) -> None:
    retried = SLOW.replace("SECONDS", "600").replace(
        "steps:", "defaults: {retry: {attempts: 2, initial: 10ms}}\nsteps:"
    )
    project.write("s.yaml", retried)
    with project.start("run", "s.yaml", "--json") as process:
        for _ in range(2):
            wait_for(process, "step.started", "slow")
            assert until(lambda: project.processes("workers.worker"))
            for worker in project.processes("workers.worker"):
                os.kill(worker, signal.SIGKILL)
        last = rest(process)
    assert process.returncode == 1
    slow = last["steps"]["slow"]
    assert (slow["status"], slow["attempts"], slow["error"]["code"]) == ("failed", 2, "worker-lost")
    assert last["steps"]["last"]["status"] == "skipped"


# Outputs that nobody reads


def test_closed_outputs_do_not_stop_a_run_nor_change_its_exit_code(project: Project) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "0.2").replace("debug.echo, needs", "debug.fail, needs"))
    for arguments, stderr in ((["--json"], subprocess.PIPE), ([], subprocess.STDOUT), ([], subprocess.DEVNULL)):
        with project.start("run", "s.yaml", "--fresh", *arguments, stderr=stderr) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(LONGEST) == 1
            assert process.stderr is None or "Error" not in process.stderr.read()
    with sqlite3.connect(project.store / "state.db") as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("failed",)] * 3


def test_without_any_standard_output_it_runs_as_well(project: Project) -> None:
    project.write("q.yaml", QUICK)
    command = 'exec "$0" -m e2i.cli.main run q.yaml --json >&-'
    environ = {**os.environ, "PYTHONPATH": str(ENGINE)}
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=project.root, env=environ, timeout=LONGEST, check=False
    )
    assert done.returncode == 0


# Side by side


def test_two_runs_may_share_a_store(project: Project) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "0.3"))
    both = [project.start("run", "s.yaml", "--json") for _ in range(2)]
    for process in both:
        with process:
            assert rest(process)["status"] == "succeeded"
    assert set(json.loads(project.cli("plan", "s.yaml", "--json").stdout)["summary"].items()) >= {
        ("reuse", 3),
        ("run", 0),
    }
    assert {run["status"] for run in json.loads(project.cli("runs", "--json").stdout)["runs"]} == {"succeeded"}


def test_a_look_at_the_store_while_a_run_writes_to_it_is_fine(project: Project) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "600"))
    with project.start("run", "s.yaml", "--json") as process:
        run = wait_for(process, "step.started", "slow")["run"]
        shown = json.loads(project.cli("show", run, "--json").stdout)
        assert {step["step"]: step["status"] for step in shown["steps"]} == {
            "first": "succeeded", "slow": "running", "last": "pending"
        }  # fmt: skip
        process.terminate()
        assert rest(process)["status"] == "interrupted"


def test_every_command_at_the_end_of_a_run_under_a_profile_is_one_that_exists(project: Project) -> None:
    project.write("config/ops.yaml", 'sinks: [opik]\nflush: 0\ntools: {opik: {url: "http://127.0.0.1:9/api"}}\n')
    project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    ran = project.cli("run", "s.yaml", "--profile", "ops", "--store", "other store")
    printed = re.findall(r"e2i (?:show|report|sync|outbox \w+)(?: --?\w+ (?:'[^']*'|\S+)| 2026\S+)*", ran.stdout)
    assert [command.split()[1] for command in printed] == ["show", "report", "sync", "outbox"], ran.stdout
    for command in printed:
        parse(*shlex.split(command)[1:])
    store = shlex.quote(str(project.root / "other store"))
    assert f"e2i sync --store {store} --profile ops delivers what waits" in ran.stdout
