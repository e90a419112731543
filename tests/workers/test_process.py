"""One worker process, from the engine's side."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2i.store.disk import DiskTrouble
from e2i.workers.environment import for_worker
from e2i.workers.process import WorkerProcess


def test_a_workspace_that_goes_at_the_last_moment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, store = tmp_path / "workspace", tmp_path / "store"
    workspace.mkdir()
    store.mkdir()
    popen = subprocess.Popen

    def late(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        workspace.rename(tmp_path / "moved")
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", late)
    ends = os.pipe()
    with pytest.raises(DiskTrouble, match=f"was moved or deleted while a run was using it: {workspace}"):
        WorkerProcess.start(
            *ends, log=store / "log", environ=for_worker({}, threads=1, store=store), workspace=workspace
        )
    for end in ends:
        os.close(end)
