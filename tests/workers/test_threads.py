"""Threads: those of native libraries get out of each other's way, and steps that run side by side share the cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2i import api
from e2i.execution import engine
from e2i.workers import pool
from e2i.workers.environment import for_worker
from e2i.workers.executor import StepCall
from project import WITHIN


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
    monkeypatch.setattr(engine, "SLICE", WITHIN)  # all that is ready is decided about before the first of it starts
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "default.yaml").write_text("sinks: []\nworkers: 2\n", "utf-8")
    spec = """
version: 1
name: shared
steps:
  one: {uses: debug.sleep, with: {seconds: 0, value: 1}}
  other: {uses: debug.sleep, with: {seconds: 0, value: 2}}
  after: {uses: debug.sleep, needs: [one, other], with: {seconds: 0, value: 3}}
  told: {uses: debug.sleep, needs: [after], resources: {threads: 3}, with: {seconds: 0, value: 4}}
"""
    workspace = api.Workspace.open(root=tmp_path, store=tmp_path / "store", environ={})
    assert api.run(spec, workspace=workspace).status == "succeeded"
    assert threads == {"one": 2, "other": 2, "after": 4, "told": 3}
