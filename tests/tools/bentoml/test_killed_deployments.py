"""A run that is killed at any moment of a deployment: the next run ends in one consistent state, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from project import LONGEST, Project, until
from served_models import processes, using

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed"),
]
SPEC = """version: 1
name: killed
params:
  turn: {type: integer, default: 0, description: Another deployment each time}
  end: {type: boolean, default: false, description: Undeploy instead}
defaults: {retry: {attempts: 1}}
steps:
  data: {uses: dataset.hcp, with: {rows: 200}}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
      target: target
      features: [call_frequency, sample_frequency]
      algorithm: LogisticRegression
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: hcp}}
  deploy:
    uses: bentoml.deploy
    when: ${{ not params.end }}
    with: {bento: "${{ steps.package.bento }}", name: mortal, environment: "turn-${{ params.turn }}"}
  end:
    uses: bentoml.undeploy
    when: ${{ params.end }}
    needs: [package]
    with: {endpoint: mortal}
"""


def is_guardian(pid: int) -> bool:
    return b"guardian.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def asked(home: Path) -> str:
    """The environment that the endpoint's service sees."""
    url = json.loads((home / "endpoints" / "mortal" / "status.json").read_bytes())["url"]
    answer = httpx.post(f"{url}/metadata", json={}, timeout=60)
    return str(answer.raise_for_status().json()["environment"])


@pytest.mark.parametrize("turns", [3, 15])
def test_the_next_run_ends_in_one_state_and_no_orphan_is_left(tmp_path: Path, turns: int) -> None:
    project, moments = Project(tmp_path / "project"), random.Random(turns)
    spec, home = str(project.write("spec.yaml", SPEC)), project.store / "bentoml"
    first = project.cli("run", spec)
    assert first.returncode == 0, first.stdout + first.stderr
    try:
        for turn in range(1, turns + 1):
            process = project.start(spec, "-p", f"turn={turn}")
            time.sleep(moments.random() * 12)  # from before its start until after its end: some 8 s
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL) if os.getpgid(process.pid) == process.pid else process.kill()
            process.wait(LONGEST)
            again = project.cli("run", spec, "-p", f"turn={turn}")
            assert again.returncode == 0, again.stdout + again.stderr
            assert asked(home) == f"turn-{turn}"
            assert until(lambda: len(processes(home, "mortal")) == 2)  # the router and its replica: nothing of others
            assert until(lambda: all(map(is_guardian, using(home) - processes(home, "mortal"))))
    finally:
        ended = project.cli("run", spec, "-p", "end=true")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert until(lambda: using(home) == set())
