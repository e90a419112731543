"""Killed at every fsync, fdatasync and rename: the next run ends as an undisturbed one, and repeats nothing (F01)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos import death, pipelines
from chaos.conftest import Amount
from chaos.death import Death
from project import Project

HERE = Path(__file__).parent
NOTHING = Path("/nonexistent")

pytestmark = pytest.mark.timeout(4 * 3600)


def traced(report: Path, at: int) -> list[str]:
    """The command that carries out the command behind it, killed at that call; at 0 it is not disturbed."""
    return [sys.executable, str(HERE / "tracer.py"), str(report), str(at), "--"]


def killed(project: Project, at: int) -> tuple[str, dict[str, Any]]:
    """Runs the spec, killed at that call; what it printed, and what was seen."""
    report = project.root / "report.json"
    with project.start("run", "spec.yaml", "--json", under=traced(report, at)) as run:
        out, err = run.communicate(timeout=death.POLL_TIMEOUT)
    assert report.exists(), err
    return out, json.loads(report.read_text())


def sweep(
    folder: Path,
    spec: str,
    amount: Amount,
    points: int = 0,
    *,
    template: Path = NOTHING,
    sinks: str = "[]",
    together: int = 2,
) -> list[str]:
    """Every point of a spec, or ``points`` of them, spread evenly; each begins as ``template``. Returns all faults."""
    calm = death.fresh(template, folder / "calm", spec, sinks=sinks)
    printed, seen = killed(calm, 0)
    undisturbed, last = pipelines.outputs_of(death.read(printed)), len(seen["calls"])
    assert undisturbed is not None, printed
    effects = pipelines.effects(calm)
    chosen = amount.spread(last, points)
    killers: list[str] = []

    def judge(at: int) -> list[str]:
        project = death.fresh(template, folder / f"at-{at}", spec, sinks=sinks)
        printed, seen = killed(project, at)
        found = [f"{seen['left']} processes did not end"] if seen["left"] else []
        killers.append(seen["killed"] or "nobody")
        found += Death(project, printed, together=together).failures(undisturbed, by_run=at % 2 == 0)
        if (left := pipelines.effects(project)) != effects:
            found.append(f"effects {left} instead of {effects}")
        if not found:
            shutil.rmtree(project.root, ignore_errors=True)
        return [f"({killers[-1]} killed) {failure}" for failure in found]

    failures = amount.each(chosen, judge)
    roles = {role: killers.count(role) for role in sorted(set(killers))}
    with amount.shown():
        print(
            f"\n{amount.name}: {len(chosen)} of {last} points, from {chosen[0]}; killed: {roles}",
            file=sys.stderr,
            flush=True,
        )
    return failures


@pytest.fixture(autouse=True)
def can_trace(tmp_path: Path) -> None:
    """Tracing needs ptrace and seccomp filters, which some sandboxes refuse."""
    report = tmp_path / "probe.json"
    tried = subprocess.run([*traced(report, 0), "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"processes cannot be traced here: {tried.stderr[-200:]}")


def test_the_tracer_kills_before_the_call(tmp_path: Path) -> None:
    program = "import os\nfor i in range(5): open('a', 'w').close(); os.rename('a', f'b{i}')"
    report = tmp_path / "report.json"
    done = subprocess.run([*traced(report, 3), sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == 137
    assert json.loads(report.read_text())["calls"] == [["engine", "rename"]] * 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "report.json") == [
        "a",
        "b0",
        "b1",
        "probe.json",
    ]


def test_a_few_points_of_six_steps(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.SIX, amount, points=2) == []


@pytest.mark.slow
def test_every_point_of_six_steps(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.SIX, amount) == []


@pytest.mark.slow
def test_every_point_of_a_long_chain_in_workers(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.chain(amount.chain, in_workers=True), amount) == []


@pytest.mark.slow
def test_every_point_of_a_chain_in_the_engine(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.chain(amount.chain), amount, together=1) == []


@pytest.mark.slow
def test_every_point_of_a_fan_that_shares_commits(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.fan(amount.chain), amount, together=amount.chain) == []


@pytest.mark.slow
def test_points_of_six_steps_that_are_tracked(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.SIX, amount, amount.tracked, sinks="[mlflow]") == []


@pytest.mark.slow
def test_every_point_of_real_tools(tmp_path: Path, amount: Amount) -> None:
    """Step after step: each is killed at all of its points in a project where those above it are finished."""
    template, failures = NOTHING, []
    for step in pipelines.TOOLS:
        failures += sweep(tmp_path / step, pipelines.tools(step), amount, amount.points, template=template)
        template = tmp_path / step / "calm"
    assert failures == []


@pytest.mark.slow
def test_points_of_real_tools_from_the_start(tmp_path: Path, amount: Amount) -> None:
    assert sweep(tmp_path, pipelines.tools(), amount, 8) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["fdatasync", "fsync", "rename"])
def test_strace_agrees(call: str, tmp_path: Path, amount: Amount) -> None:
    """The same by strace's own injection: it counts each process and each call for itself."""
    calm = pipelines.make(tmp_path / "calm", pipelines.SIX)
    undisturbed = pipelines.outputs_of(death.read(killed(calm, 0)[0]))

    def judge(at: int) -> list[str]:
        project = death.fresh(NOTHING, tmp_path / f"{call}-{at}", pipelines.SIX)
        inject = f"inject={call}:signal=KILL:when={at}"
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
        with project.start("run", "spec.yaml", "--json", under=command) as run:
            out, _ = run.communicate(timeout=death.POLL_TIMEOUT)
        return Death(project, out).failures(undisturbed)

    assert amount.each(range(1, 12), judge) == []
