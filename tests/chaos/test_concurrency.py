"""The same spec, and different ones, many times at once in one store: each step is executed once in all (F15)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from chaos import death, pipelines
from project import Project

STEPS = 12


def at_once(project: Project, commands: list[list[str]]) -> list[subprocess.CompletedProcess[str]]:
    """Carries out ``e2i`` commands side by side."""
    started = [project.start(*command) for command in commands]
    ended = []
    for command, process in zip(commands, started, strict=True):
        with process:
            out, err = process.communicate(timeout=death.POLL_TIMEOUT)
        ended.append(subprocess.CompletedProcess(command, process.returncode, out, err))
    return ended


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("times", [2, *(pytest.param(times, marks=pytest.mark.slow) for times in (8, 32))])
def test_the_same_spec_at_once_does_each_step_once(times: int, tmp_path: Path) -> None:
    project = pipelines.make(tmp_path, pipelines.marked(STEPS, seconds=0.05))
    for run in at_once(project, [["run", "spec.yaml", "--json"]] * times):
        assert run.returncode == 0, run.stderr + run.stdout[-2000:]
        assert "locked" not in run.stdout + run.stderr
        last = json.loads(run.stdout.splitlines()[-1])
        assert {step["status"] for step in last["steps"].values()} <= {"succeeded", "reused"}
    assert pipelines.marks(project) == {f"s{i}": 1 for i in range(STEPS)}


@pytest.mark.timeout(1800)
def test_different_runs_share_what_they_have_in_common(tmp_path: Path) -> None:
    spec = """version: 1
name: shares
params: {own: {type: string, default: none}}
steps:
  common: {uses: python.call, with: {file: steps.py, function: table, arguments: {name: common}}}
  own:
    uses: python.call
    with: {file: steps.py, function: count, arguments: {name: "${{ params.own }}", table: "${{ steps.common.table }}"}}
outputs: {rows: "${{ steps.own.value }}"}
"""
    project = pipelines.make(tmp_path, spec)
    names = [f"own-{i}" for i in range(4)]
    for run in at_once(project, [["run", "spec.yaml", "--json", "-p", f"own={name}"] for name in names]):
        assert run.returncode == 0, run.stderr + run.stdout[-2000:]
        assert json.loads(run.stdout.splitlines()[-1])["outputs"] == {"rows": 100}
    assert pipelines.marks(project) == dict.fromkeys(["common", *names], 1)
