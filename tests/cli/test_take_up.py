"""``e2i run SPEC`` after a death: the same command resumes the run that died, under its own id."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from e2i import api
from e2i.execution.events import RunStarted
from project import LONGEST, Project, lines, until

SPEC = """
version: 1
name: dies
params: {{n: {{type: integer, default: 3}}}}
steps:
  first: {{uses: debug.echo, with: {{value: "${{{{ params.n }}}}"}}}}
  held: {{needs: [first], {hold}}}
outputs: {{n: "${{{{ steps.first.value }}}}"}}
"""


@pytest.fixture
def die(project: Project) -> Callable[..., str]:
    """Starts a run and ends it, when its second step runs, by a signal; the run's id. Then the step may end."""

    def begin_and_die(*options: str, number: signal.Signals = signal.SIGKILL) -> str:
        project.write("s.yaml", SPEC.format(hold=project.hold()))
        with project.start("run", "s.yaml", "--json", *options) as process:
            run = wait_for(process, "step.started", "held")
            process.send_signal(number)
            if number == signal.SIGINT:
                wait_for(process, "run.stopping")
                process.send_signal(number)
            process.communicate(timeout=LONGEST)
        return run

    return begin_and_die


def wait_for(process: subprocess.Popen[str], name: str, step: str | None = None) -> str:
    """The run's id, once it has said that."""
    assert process.stdout is not None
    events = map(json.loads, process.stdout)
    return str(next(event["run"] for event in events if (event["event"], event["step"]) == (name, step)))


def again(project: Project, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same command: its first and its last line."""
    project.let_go()
    result = project.cli("run", "s.yaml", "--json", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    first, *_, last = lines(result.stdout)
    assert {line["run"] for line in lines(result.stdout)} == {first["run"]}
    return first, last


def statuses(last: dict[str, Any]) -> dict[str, str]:
    return {step: found["status"] for step, found in last["steps"].items()}


def test_the_same_command_resumes_a_run_that_was_killed(project: Project, die: Callable[..., str]) -> None:
    run = die("-p", "n=7")
    first, last = again(project, "-p", "n=7")
    assert (first["event"], first["run"], first["resumed"]) == ("run.started", run, True)
    assert re.fullmatch(r"its process \d+ has exited", first["note"])
    assert (last["outputs"], statuses(last)) == ({"n": 7}, {"first": "reused", "held": "succeeded"})
    (listed,) = json.loads(project.cli("runs", "--json").stdout)["runs"]
    assert (listed["run"], listed["status"]) == (run, "succeeded")


def test_a_run_that_came_to_its_end_is_followed_by_another(project: Project, die: Callable[..., str]) -> None:
    run = die()
    assert again(project)[0]["run"] == run
    first, last = again(project)
    assert first["run"] != run
    assert (first["resumed"], first["note"], statuses(last)) == (False, "", {"first": "reused", "held": "reused"})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_command_resumes_a_run_that_was_interrupted(
    project: Project, die: Callable[..., str], number: signal.Signals
) -> None:
    run = die(number=number)
    project.let_go()
    result = project.cli("run", "s.yaml")
    assert result.returncode == 0
    said = result.stderr.splitlines()[1]
    assert said.startswith(f"resuming run {run} of dies, 2 steps (it was interrupted at 20")


@pytest.mark.parametrize(
    "options",
    [["--fresh"], ["-p", "n=4"], ["--select", "+held"], ["--profile", "other"]],
    ids=lambda options: options[0],
)
def test_another_command_begins_a_run_of_its_own(project: Project, die: Callable[..., str], options: list[str]) -> None:
    project.write("config/other.yaml", "flush: 4\n")
    run = die()
    assert again(project, *options)[0]["run"] != run
    assert again(project)[0]["run"] == run


def test_a_spec_with_the_same_meaning_in_other_words_is_resumed_and_another_one_is_not(
    project: Project, die: Callable[..., str]
) -> None:
    run = die()
    text = (project.root / "s.yaml").read_text()
    project.write("s.yaml", text.replace("default: 3", "default: 5"))
    assert again(project)[0]["run"] != run
    project.write("s.yaml", f"# in other words\n{text}")
    first, last = again(project)
    assert (first["run"], statuses(last)["first"]) == (run, "reused")
    assert api.recorded(run, project.workspace).spec.startswith("# in other words")


def test_of_two_that_start_at_once_one_resumes_and_the_other_begins_its_own(
    project: Project, die: Callable[..., str]
) -> None:
    run = die()
    both = [project.start("run", "s.yaml", "--json") for _ in range(2)]
    for process in both:
        assert process.stdout is not None
    runs = [json.loads(process.stdout.readline())["run"] for process in both if process.stdout]
    project.let_go()
    ends = [process.communicate(timeout=LONGEST)[0].splitlines()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(set(runs)) == 2 and run in runs
    assert sorted(statuses(json.loads(end))["held"] for end in ends) == ["reused", "succeeded"]


def test_a_run_whose_worker_was_killed_is_gone_on_with(project: Project) -> None:
    project.write("s.yaml", SPEC.format(hold=project.hold()))
    with project.start("run", "s.yaml", "--json") as process:
        run = wait_for(process, "step.started", "held")
        assert until(lambda: project.processes("e2i.workers.worker"))
        for worker in project.processes("e2i.workers.worker"):
            os.kill(worker, signal.SIGKILL)
        process.communicate(timeout=LONGEST)
    assert process.returncode == 1
    first, last = again(project)
    assert (first["run"], first["note"]) == (run, "a worker died")
    assert statuses(last) == {"first": "reused", "held": "succeeded"}


def test_from_python_it_is_the_same(project: Project, die: Callable[..., str]) -> None:
    run = die()
    project.let_go()
    record = project.run(project.root / "s.yaml")
    assert (record.run, record.status) == (run, "succeeded")
    assert project.happened(RunStarted)[0].resumed
