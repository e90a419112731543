"""A store is backed up at any moment of a run, restored elsewhere, and the run resumed there: nothing is repeated."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from e2i.store.database import FILE
from e2i.store.history import Reader
from project import Project

STEPS = 8
TIMES = int(os.environ.get("CHAOS_BACKUPS", "50"))
MAKE = """
import time
from pathlib import Path

def make(number, value=0):
    time.sleep(0.05)
    with open("executed.log", "a") as log:
        log.write(f"{number}\\n")
    return value + number
"""
SPEC = "version: 1\nname: chain\nsteps:\n" + "".join(
    f"  s{number}: {{uses: python.call, with: {{file: make.py, function: make, arguments: {{number: {number}"
    + (f', value: "${{{{ steps.s{number - 1}.value }}}}"' if number else "")
    + "}}}\n"
    for number in range(STEPS)
)


def finished(store: Path) -> set[str]:
    """The steps that a store says have succeeded."""
    if not (store / FILE).exists():
        return set()
    with Reader(store, lambda digest: True) as reader:
        found = [reader.run(run.id) for run in reader.runs()]
    return {step.id for run in found if run is not None for step in run.steps if step.status == "succeeded"}


@pytest.mark.parametrize("times", [1, pytest.param(TIMES, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_backup_of_any_moment_resumes_elsewhere_and_repeats_nothing(tmp_path: Path, times: int) -> None:
    chance = random.Random(times)
    for number in range(times):
        project = Project(tmp_path / f"project{number}")
        project.write("make.py", MAKE)
        project.write("s.yaml", SPEC)
        with project.start("run", "s.yaml") as process:
            while not (project.store / FILE).exists() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.2, 2.5))
            copied = project.cli("backup", str(tmp_path / f"copy{number}"), "--json")
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert copied.returncode == 0, copied.stderr
        restored = tmp_path / f"new{number}"
        back = project.cli("restore", str(tmp_path / f"copy{number}"), "--store", str(restored), "--json")
        assert back.returncode == 0, back.stderr
        done = finished(restored)
        log = project.root / "executed.log"
        log.write_text("")
        resumed: subprocess.CompletedProcess[str] = project.cli("run", "s.yaml", "--store", str(restored), "--json")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        last = json.loads(resumed.stdout.splitlines()[-1])
        assert last["status"] == "succeeded"
        executed = [f"s{line}" for line in log.read_text().split()]
        assert len(executed) == len(set(executed))
        assert set(executed) == {f"s{step}" for step in range(STEPS)} - done
