"""Imports of large libraries: in a thread, and without collections of garbage that stop the program's event loop."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from e2i.mlops import loading

PROGRAM = """
import asyncio, gc, json, sys, threading

looked, importers = [], {}

def collecting(phase, info):
    if phase == "start" and info["generation"] == 2:
        looked.append(len(gc.get_objects()))

class Importer:
    def find_spec(self, name, path=None, target=None):
        if name in ("mlflow", "mlflow.tracking", "mlflow.sklearn", "opik", "sqlalchemy"):
            importers.setdefault(name, threading.current_thread() is threading.main_thread())

import numpy as np
from sklearn.linear_model import LogisticRegression
from e2i.mlops import MLflowConnector, OpikConnector

async def main():
    tracker, tracer = MLflowConnector(), OpikConnector()
    gc.collect()
    sys.meta_path.insert(0, Importer())
    gc.callbacks.append(collecting)
    async with tracker.start_run(experiment_name="first") as run:
        await run.log_model(LogisticRegression().fit(np.arange(4.0).reshape(-1, 1), [0, 1, 0, 1]), "model")
    await tracer.evaluate_agent("a", [{"input": {"q": "x"}, "expected_output": "y", "output": "y"}], ["equals"])
    print(json.dumps({"looked": looked, "importers": importers, "enabled": gc.isenabled()}))

asyncio.run(main())
"""


@pytest.mark.slow
def test_the_first_calls_neither_import_in_the_loop_nor_collect_what_was_imported(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["importers"] == dict.fromkeys(
        ("mlflow", "mlflow.tracking", "mlflow.sklearn", "opik", "sqlalchemy"), False
    )
    assert all(count < 100_000 for count in found["looked"]), "a collection that stops the loop for long"
    assert found["enabled"]


def test_a_library_is_loaded_once_with_garbage_left_alone() -> None:
    states: list[bool] = []

    def enter() -> None:
        with loading.first("a library of this test"):
            states.append(gc.isenabled())

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states.count(False) == 1 and states[0] is False and gc.isenabled()

    def fails() -> None:
        raise ImportError("no such library")

    with pytest.raises(ImportError):
        loading.once("another library of this test", fails)
    assert gc.isenabled()
    loading.once("another library of this test", lambda: states.append(gc.isenabled()))
    loading.once("another library of this test", lambda: states.append(gc.isenabled()))
    assert states[-1] is False and len(states) == 9
