"""Killed with signal 9 at random instants, engine or worker, several times in a row: nothing finished is lost or repeated."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from chaos import death, pipelines
from chaos.conftest import Amount
from chaos.death import Death
from project import Project

DEATHS = 4
"""How often one run is killed before it may end."""


def test_a_few_kills(tmp_path: Path, amount: Amount) -> None:
    assert kill(tmp_path, amount, projects=1) == []


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_many_kills(tmp_path: Path, amount: Amount) -> None:
    assert kill(tmp_path, amount, projects=-(-amount.kills // DEATHS)) == []


def kill(folder: Path, amount: Amount, projects: int) -> list[str]:
    """Kills the runs of that many projects, each ``DEATHS`` times, and lets them end. Returns all faults."""
    calm = pipelines.make(folder / "calm", pipelines.SIX)
    began = time.monotonic()
    undisturbed = pipelines.outputs_of(death.read(calm.cli("run", "spec.yaml", "--json").stdout))
    within = time.monotonic() - began
    assert undisturbed is not None

    def judge(seed: int) -> list[str]:
        chance = random.Random(seed)
        project = pipelines.make(folder / f"seed-{seed}", pipelines.SIX)
        last: Death | None = None
        found: list[str] = []
        for _ in range(DEATHS):
            with project.start("run", "spec.yaml", "--json") as run:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(chance.uniform(0, within * amount.jobs / 2))
                strike(project, run, chance)
                out, _ = run.communicate(timeout=death.POLL_TIMEOUT)
            last = Death(project, out, last)
            found += last.on_disk()
        assert last is not None
        found += last.failures(undisturbed)
        if not found:
            shutil.rmtree(project.root, ignore_errors=True)
        return found

    return amount.each(range(projects), judge)


def strike(project: Project, engine: subprocess.Popen[str], chance: random.Random) -> None:
    """Kills the engine or, half of the time, a worker if there is one; nobody, if all have ended by themselves."""
    workers = project.processes("e2i.workers.worker")
    if workers and chance.random() < 0.5:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
    else:
        engine.kill()
