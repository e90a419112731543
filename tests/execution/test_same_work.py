"""Runs with the same work share it; inline steps and grouped commits publish only what is committed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from e2i.execution.events import StepFinished
from e2i.workers.executor import Ended, Failure, Message, StepCall
from project import LONGEST, Project

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
        output, errors = process.communicate(timeout=LONGEST)
        assert process.returncode == 0, errors
        last = json.loads(output.splitlines()[-1])
        statuses.update(step["status"] for step in last["steps"].values())
    assert sorted((project.root / "done.txt").read_text().split()) == ["s0", "s1", "s2"]
    assert statuses == {"succeeded": 3, "reused": 9}


def test_a_step_that_waits_for_another_run_says_for_which(project: Project) -> None:
    project.write("slow.yaml", f"version: 1\nname: slow\nsteps:\n  a: {{{project.hold()}}}\n")
    with project.start("run", "slow.yaml", "--json") as first:
        run = reported(first, "step.started")["run"]
        with project.start("run", "slow.yaml", "--json") as second:
            waiting = reported(second, "step.waiting")
            project.let_go()
            output, _ = second.communicate(timeout=LONGEST)
        first.communicate(timeout=LONGEST)
    assert waiting["by"] == run
    assert waiting["holder"].startswith(f"{first.pid}:")
    assert json.loads(output.splitlines()[-1])["steps"]["a"]["status"] == "reused"


def test_the_work_of_a_run_that_died_is_taken_over(project: Project) -> None:
    project.write("slow.yaml", f"version: 1\nname: slow\nsteps:\n  a: {{{project.hold()}}}\n")
    with project.start("run", "slow.yaml", "--json") as first:
        reported(first, "step.started")
        first.kill()
        first.communicate(timeout=LONGEST)
    project.let_go()
    assert project.statuses(project.root / "slow.yaml") == {"a": "succeeded"}


def reported(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """The next event of that name."""
    assert process.stdout is not None
    return next(event for event in map(json.loads, process.stdout) if event["event"] == name)


def test_steps_that_take_no_time_share_commits(project: Project) -> None:
    steps = "".join(f"  s{i}: {{uses: debug.echo, with: {{value: {i}}}}}\n" for i in range(300))
    project.run("version: 1\nname: fan\nsteps:\n" + steps)
    rows = sqlite3.connect(project.store / "state.db").execute("SELECT count(*) FROM steps").fetchone()
    assert rows == (300,)
    assert len(project.happened(StepFinished)) == 300
    assert not (project.store / "runs").exists() or not list((project.store / "runs").rglob("*.log"))


class Out:
    """An executor for which every tool is out, on a clock of its own: only waiting takes time."""

    def __init__(self, size: int, **_: object) -> None:
        self.calls: list[StepCall] = []
        self.seconds = 0.0

    def free(self) -> int:
        return 1 - len(self.calls)

    def free_memory(self) -> int:
        return 10**12

    def is_idle(self) -> bool:
        return not self.calls

    def affinity(self, uses: str) -> int:
        return 0

    def submit(self, call: StepCall) -> None:
        self.calls.append(call)

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None: ...

    def poll(self, seconds: float) -> list[Message]:
        self.seconds += 0.0 if self.calls else max(seconds, 0.001)
        failure = Failure("tool-unavailable", "nobody answers", unavailable=True)
        return [Ended(self.calls.pop().info.step, 0.0, failure=failure) for _ in self.calls[:1]]

    def cancel(self, step: str) -> None: ...

    def dismiss(self) -> None: ...

    def close(self) -> None: ...


def test_all_attempts_together_are_limited_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = """\
version: 1
name: limited
steps:
  a:
    uses: debug.fail
    with: {unavailable: true}
    retry: {attempts: 100, backoff: constant, initial: 200ms, total: 1s}
"""
    out = Out(1)
    monkeypatch.setattr("e2i.execution.session.OnDemand", lambda size, start: out)
    record = project.run(spec, on_engine=lambda engine: monkeypatch.setattr(engine, "_clock", lambda: out.seconds))
    assert record.steps["a"].status.value == "failed"
    assert 5 <= record.steps["a"].attempts <= 6, "each waits for a tenth less at most"
    assert 0.7 < out.seconds < 1
