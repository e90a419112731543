"""Several processes on one embedded MLflow, and a real MLflow server."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.catalog.telemetry import Entry
from e2i.errors import ToolUnavailable
from e2i.settings import Settings
from e2i.tools.mlflow import LoadParams, MLflowSettings, PromoteParams, RegisterParams
from e2i.tools.mlflow.actions import load, promote, register
from e2i.tools.mlflow.sink import open_sink
from small_model import small_model

mlflow = pytest.importorskip("mlflow")


def work(ctx: LocalContext, model: Model, number: int) -> None:
    """What a worker and the courier do at the same time: register a model, deliver telemetry."""
    asyncio.run(register(RegisterParams(model=model, name="shared"), ctx))
    sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
    start = Entry("start", "mlflow", "run-1", "run.started", {"pipeline": "test", "params": {}, "started_ms": 1}, 0)
    for i in range(8):
        body = {"step": f"s{number}", "name": "m", "value": float(i), "index": i, "at_ms": i}
        sink.deliver([start, Entry(f"{number}-{i}", "mlflow", "run-1", "metric", body, i)])


def test_processes_that_start_together_share_one_run_and_one_version(ctx: LocalContext) -> None:
    model, _ = small_model(ctx)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work, args=(ctx, model, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert {name: len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics} == {
        f"s{number}/m": 8 for number in range(3)
    }
    assert len(client.search_model_versions("name = 'shared'")) == 1
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server on the loopback address, and its process."""
    port = 18_000 + os.getpid() % 2000
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        f"{tmp_path}/files",
    ]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if answers(port):
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.slow
def test_a_server_serves_as_well_as_the_embedded_mode_and_its_death_is_an_outage(
    tmp_path: Path, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    address, process = server
    settings: dict[str, Any] = {"tracking_uri": address, "deadline": 60}
    ctx = LocalContext(tmp_path / "client", settings=Settings(tools={"mlflow": settings}))
    model, _ = small_model(ctx)
    first = asyncio.run(register(RegisterParams(model=model, name="hcp", metrics={"roc_auc": 0.9}), ctx)).version
    assert asyncio.run(register(RegisterParams(model=model, name="hcp"), ctx)).version == first
    asyncio.run(promote(PromoteParams(version=first, stage="production"), ctx))
    assert asyncio.run(load(LoadParams(name="hcp", stage="production"), ctx)).model == model
    sink = open_sink(MLflowSettings(**settings), ctx.home("mlflow"), ctx.open)
    body = {"step": "s", "name": "m", "value": 1.0, "index": 0, "at_ms": 5}
    for _ in range(2):
        sink.deliver([Entry("k", "mlflow", "run-1", "metric", body, 1)])
    client = mlflow.MlflowClient(address)
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert run.data.metrics == {"roc_auc": 0.9, "s/m": 1.0}
    process.terminate()
    process.wait(30)
    with pytest.raises(ToolUnavailable):
        sink.deliver([Entry("l", "mlflow", "run-1", "metric", body, 2)])
    with pytest.raises(ToolUnavailable):
        asyncio.run(promote(PromoteParams(version=first, stage="staging"), ctx))
    ctx.close()
