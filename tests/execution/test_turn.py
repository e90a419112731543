"""Runs of one store wait for their turn, and their steps for memory, with real processes that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest

from e2i.execution.events import StepQueued
from e2i.store.queue import Queue
from project import LONGEST, Project, until

SETTINGS = "sinks: []\nflush: 5\n"
INSIDE = """
import subprocess, sys

def inside(command: list) -> int:
    return subprocess.run([sys.executable, "-m", "e2i.cli.main", *command]).returncode
"""


@pytest.fixture
def one_at_a_time(project: Project) -> Project:
    project.write("config/default.yaml", SETTINGS + "max_runs: 1\n")
    for name in ("first", "second", "third"):
        step = f"{{{project.hold()}}}".replace("function: hold", f"function: hold, arguments: {{value: {name}}}")
        project.write(f"{name}.yaml", f"version: 1\nname: {name}\nsteps:\n  a: {step}\n")
    return project


def reported(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if (found := json.loads(line))["event"] == event:
            return dict(found)
    raise AssertionError(f"{event} was not reported: {process.communicate()[1]}")


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, errors
    return dict(json.loads(output.splitlines()[-1]))


def test_a_second_run_waits_for_the_first_and_says_so(one_at_a_time: Project) -> None:
    first = one_at_a_time.start("run", "first.yaml", "--json")
    run = reported(first, "step.started")["run"]
    second = one_at_a_time.start("run", "second.yaml", "--json")
    waiting = reported(second, "run.waiting")
    assert (waiting["position"], waiting["runs"], waiting["limit"], waiting["run"]) == (1, [run], 1, "")
    with one_at_a_time.start("run", "third.yaml") as third:
        assert third.stderr is not None
        assert third.stderr.readline() == f"waiting for run {run} (2nd in the queue); Ctrl-C leaves the queue\n"
        one_at_a_time.let_go()
        ends = [end(first)["at"], end(second)["at"]]
        third.communicate(timeout=LONGEST)
    assert ends == sorted(ends)
    assert third.returncode == 0
    assert Queue(one_at_a_time.store, "runs").places() == []


def test_ctrl_c_leaves_the_queue(one_at_a_time: Project) -> None:
    with one_at_a_time.start("run", "first.yaml", "--json") as first:
        reported(first, "step.started")
        with one_at_a_time.start("run", "second.yaml", "--json") as second:
            reported(second, "run.waiting")
            second.send_signal(signal.SIGINT)
            _, errors = second.communicate(timeout=LONGEST)
        assert (second.returncode, errors) == (130, "interrupted\n")
        assert len(Queue(one_at_a_time.store, "runs").places()) == 1
        one_at_a_time.let_go()
        first.communicate(timeout=LONGEST)


def test_no_wait_ends_at_once(one_at_a_time: Project) -> None:
    with one_at_a_time.start("run", "first.yaml", "--json") as first:
        run = reported(first, "step.started")["run"]
        refused = one_at_a_time.cli("run", "second.yaml", "--no-wait", "--json")
        assert refused.returncode == 4
        error = json.loads(refused.stdout)["error"]
        assert error["code"] == "run-limit"
        assert f"`max_runs: 1` allows: run {run}" in error["message"]
        one_at_a_time.let_go()
        first.communicate(timeout=LONGEST)
    assert one_at_a_time.cli("run", "second.yaml", "--no-wait").returncode == 0


def test_the_turn_of_a_killed_run_is_free(one_at_a_time: Project) -> None:
    with one_at_a_time.start("run", "first.yaml", "--json") as first:
        reported(first, "step.started")
        with one_at_a_time.start("run", "second.yaml", "--json") as second:
            reported(second, "run.waiting")
            first.kill()
            first.communicate(timeout=LONGEST)
            reported(second, "run.started")
            one_at_a_time.let_go()
            second.communicate(timeout=LONGEST)
    assert second.returncode == 0


def test_a_stopped_run_in_the_queue_delays_nobody(one_at_a_time: Project) -> None:
    first = one_at_a_time.start("run", "first.yaml", "--json")
    reported(first, "step.started")
    second = one_at_a_time.start("run", "second.yaml", "--json")
    reported(second, "run.waiting")
    second.send_signal(signal.SIGSTOP)
    third = one_at_a_time.start("run", "third.yaml", "--json")
    reported(third, "run.waiting")
    one_at_a_time.let_go()
    end(first)
    end(third)
    second.send_signal(signal.SIGCONT)
    assert end(second)["status"] == "succeeded"


def test_a_run_inside_a_step_of_another_run_does_not_wait_for_it(one_at_a_time: Project) -> None:
    one_at_a_time.let_go()
    one_at_a_time.write("inside.py", INSIDE)
    arguments = f"{{command: [run, second.yaml, --store, {one_at_a_time.store}, --no-wait]}}"
    step = f"{{uses: python.call, with: {{file: inside.py, function: inside, arguments: {arguments}}}}}"
    outer = one_at_a_time.write("outer.yaml", f"version: 1\nname: outer\nsteps:\n  a: {step}\n")
    assert one_at_a_time.cli("run", str(outer), "--json").returncode == 0
    shown = json.loads(one_at_a_time.cli("show", "last~1", "--step", "a", "--json").stdout)
    assert shown["outputs"]["value"] == 0


def test_without_a_limit_runs_execute_side_by_side(one_at_a_time: Project) -> None:
    one_at_a_time.write("config/default.yaml", SETTINGS)
    both = [one_at_a_time.start("run", name, "--json") for name in ("first.yaml", "second.yaml")]
    for process in both:
        reported(process, "step.started")
    one_at_a_time.let_go()
    for process in both:
        end(process)


def memory_spec(project: Project, name: str, memory: str, steps: int = 1) -> str:
    lines = []
    for index in range(steps):
        held = project.hold().replace("function: hold", f"function: hold, arguments: {{value: {name}{index}}}")
        lines.append(f"  s{index}: {{{held}, resources: {{memory: {memory}}}}}")
    project.write(f"{name}.yaml", "\n".join(["version: 1", f"name: {name}", "steps:", *lines]) + "\n")
    return f"{name}.yaml"


def test_steps_of_two_runs_do_not_hold_more_than_the_total(project: Project) -> None:
    project.write("config/default.yaml", SETTINGS + "workers: 2\nresources: {total_memory: 1GB}\n")
    with project.start("run", memory_spec(project, "one", "600MB"), "--json") as first:
        run = reported(first, "step.started")["run"]
        with project.start("run", memory_spec(project, "two", "600MB"), "--json") as second:
            queued = reported(second, "step.queued")
            assert (queued["runs"], queued["used"], queued["total"]) == ([run], 600_000_000, 1_000_000_000)
            first.kill()  # the memory of a killed run is free
            first.communicate(timeout=LONGEST)
            reported(second, "step.started")
            project.let_go()
            second.communicate(timeout=LONGEST)
    assert second.returncode == 0
    assert Queue(project.store, "memory").places() == []


def test_steps_that_fit_together_start_side_by_side(project: Project) -> None:
    project.write("config/default.yaml", SETTINGS + "workers: 2\nresources: {total_memory: 1GB}\n")
    both = [project.start("run", memory_spec(project, name, "400MB"), "--json") for name in ("one", "two")]
    for process in both:
        reported(process, "step.started")
    project.let_go()
    for process in both:
        end(process)


def test_a_step_larger_than_the_total_runs_alone(project: Project) -> None:
    project.write("config/default.yaml", SETTINGS + "workers: 2\nresources: {total_memory: 100MB}\n")
    project.let_go()
    record = project.run(project.root / memory_spec(project, "large", "300MB", steps=2))
    assert record.status == "succeeded"
    assert project.happened(StepQueued)[0].total == 100_000_000
    assert until(lambda: not Queue(project.store, "memory").places(), within=1)


def test_a_stop_ends_a_step_that_waits_for_memory(project: Project) -> None:
    project.write("config/default.yaml", SETTINGS + "workers: 2\nresources: {total_memory: 1GB}\n")
    with project.start("run", memory_spec(project, "one", "600MB"), "--json") as first:
        reported(first, "step.started")
        with project.start("run", memory_spec(project, "two", "600MB"), "--json") as second:
            reported(second, "step.queued")
            began = time.monotonic()
            second.send_signal(signal.SIGTERM)
            second.communicate(timeout=LONGEST)
        assert time.monotonic() - began < 30
        assert second.returncode == 143
        assert len(Queue(project.store, "memory").places()) == 1
        project.let_go()
        first.communicate(timeout=LONGEST)
