"""The environment of workers: each tool says itself that it phones nobody, and native threads get out of each other's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2i import api
from e2i.execution import pool
from e2i.execution.environment import for_worker
from e2i.execution.executor import StepCall

ASKED = {
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled as quiet",
    "bentoml": "from bentoml._internal.utils.analytics.usage_stats import do_not_track as quiet",
    "opik": (
        "from opik.config import OpikConfig; config = OpikConfig(); "
        "quiet = lambda: not config.sentry_enable and not config.analytics_enable"
    ),
}
"""How to ask each tool whether it is quiet; MLflow and BentoML want the word true, ``1`` does not stop them."""


@pytest.mark.parametrize("tool", ASKED)
def test_the_tool_itself_says_that_its_telemetry_is_off(tool: str, tmp_path: Path) -> None:
    environ = for_worker({"HOME": str(tmp_path)}, threads=1, store=tmp_path / "store")
    subprocess.run([sys.executable, "-c", f"{ASKED[tool]}; assert quiet()"], env=environ, check=True, timeout=60)


def test_what_a_user_has_set_does_not_turn_telemetry_on(tmp_path: Path) -> None:
    wanted = {"MLFLOW_DISABLE_TELEMETRY": "false", "BENTOML_DO_NOT_TRACK": "0", "OPIK_SENTRY_ENABLE": "true"}
    environ = for_worker({**wanted, "PATH": "/bin"}, threads=1, store=tmp_path)
    assert {name: environ[name] for name in wanted} == {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "true",
        "OPIK_SENTRY_ENABLE": "false",
    }


def test_native_threads_of_a_worker_sleep_while_they_wait(tmp_path: Path) -> None:
    environ = for_worker({"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "64"}, threads=2, store=tmp_path)
    assert (environ["OMP_WAIT_POLICY"], environ["OMP_NUM_THREADS"]) == ("passive", "2")


def test_steps_that_run_side_by_side_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, int] = {}

    class Watched(pool.Pool):
        def submit(self, call: StepCall) -> None:
            threads[call.info.step] = call.threads
            super().submit(call)

    monkeypatch.setattr(pool, "Pool", Watched)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "default.yaml").write_text("sinks: []\nworkers: 2\n", "utf-8")
    spec = """
version: 1
name: shared
steps:
  one: {uses: debug.echo, with: {value: 1}}
  other: {uses: debug.echo, with: {value: 2}}
  after: {uses: debug.echo, needs: [one, other], with: {value: 3}}
  told: {uses: debug.echo, needs: [after], resources: {threads: 3}, with: {value: 4}}
"""
    workspace = api.Workspace.open(root=tmp_path, store=tmp_path / "store", environ={})
    assert api.run(spec, workspace=workspace).status == "succeeded"
    assert threads == {"one": 2, "other": 2, "after": 4, "told": 3}
