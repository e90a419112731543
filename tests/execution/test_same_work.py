"""Several runs that have the same to do share the work; inline steps and grouped commits keep what was told durable."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter

from project import Project

TALLY = """
from pathlib import Path

def work(name: str) -> str:
    with Path("done.txt").open("a") as file:
        file.write(name + "\\n")
    return name
"""


def spec(steps: int) -> str:
    """A chain of steps in workers, each of which leaves a line in done.txt."""
    lines = ["version: 1", "name: shared", "steps:"]
    for index in range(steps):
        needs = f", needs: [s{index - 1}]" if index else ""
        arguments = f"{{file: tally.py, function: work, arguments: {{name: s{index}}}}}"
        lines.append(f"  s{index}: {{uses: python.call, with: {arguments}{needs}}}")
    return "\n".join(lines) + "\n"


def test_runs_of_one_spec_at_the_same_time_do_each_step_once(project: Project) -> None:
    project.write("tally.py", TALLY)
    project.write("shared.yaml", spec(3))
    processes = [project.start("run", "shared.yaml", "--json") for _ in range(4)]
    statuses: Counter[str] = Counter()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        last = json.loads(output.splitlines()[-1])
        statuses.update(step["status"] for step in last["steps"].values())
    assert sorted((project.root / "done.txt").read_text().split()) == ["s0", "s1", "s2"]
    assert statuses == {"succeeded": 3, "reused": 9}


def test_a_step_that_waits_for_another_run_says_for_which(project: Project) -> None:
    project.write("slow.yaml", "version: 1\nname: slow\nsteps:\n  a: {uses: debug.sleep, with: {seconds: 3}}\n")
    first = project.start("run", "slow.yaml", "--json")
    assert first.stdout is not None
    run = ""
    for line in first.stdout:
        event = json.loads(line)
        if event["event"] == "step.started":
            run = event["run"]
            break
    second = project.cli("run", "slow.yaml", "--json")
    first.communicate(timeout=30)
    events = [json.loads(line) for line in second.stdout.splitlines()]
    waiting = next(event for event in events if event["event"] == "step.waiting")
    assert waiting["by"] == run
    assert waiting["holder"].startswith(f"{first.pid}:")
    assert events[-1]["steps"]["a"]["status"] == "reused"


def test_the_work_of_a_run_that_died_is_taken_over(project: Project) -> None:
    project.write("slow.yaml", "version: 1\nname: slow\nsteps:\n  a: {uses: debug.sleep, with: {seconds: 2}}\n")
    first = project.start("run", "slow.yaml", "--json")
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "step.started":
            break
    first.kill()
    first.communicate(timeout=30)
    assert project.statuses(project.root / "slow.yaml") == {"a": "succeeded"}


def test_steps_that_take_no_time_share_commits(project: Project) -> None:
    steps = "".join(f"  s{i}: {{uses: debug.echo, with: {{value: {i}}}}}\n" for i in range(300))
    project.run("version: 1\nname: fan\nsteps:\n" + steps)
    rows = sqlite3.connect(project.store / "state.db").execute("SELECT count(*) FROM steps").fetchone()
    assert rows == (300,)
    assert [event.name for event in project.events].count("step.finished") == 300
    assert not (project.store / "runs").exists() or not list((project.store / "runs").rglob("*.log"))


def test_all_attempts_together_are_limited_too(project: Project) -> None:
    spec = """\
version: 1
name: limited
steps:
  a:
    uses: debug.fail
    with: {unavailable: true}
    retry: {attempts: 100, backoff: constant, initial: 200ms, total: 1s}
"""
    record = project.run(spec)
    assert record.steps["a"].status.value == "failed"
    assert 4 <= record.steps["a"].attempts <= 7
    assert record.seconds < 1.5
