"""Several processes on one embedded MLflow, and a real MLflow server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.errors import ToolUnavailable
from e2i.settings import Settings
from e2i.telemetry.entries import Entry
from e2i.tools.mlflow import LoadParams, MLflowSettings, PromoteParams, RegisterParams
from e2i.tools.mlflow.actions import load, promote, register
from e2i.tools.mlflow.sink import open_sink
from project import ENGINE, LONGEST, WITHIN, held_port, until
from small_model import small_model

mlflow = pytest.importorskip("mlflow")


WORK = """
import asyncio, sys
from pathlib import Path
from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.telemetry.entries import Entry
from e2i.tools.mlflow import MLflowSettings, RegisterParams
from e2i.tools.mlflow.actions import register
from e2i.tools.mlflow.sink import open_sink

root, model, number = sys.argv[1:]
ctx = LocalContext(Path(root))
asyncio.run(register(RegisterParams(model=Model.model_validate_json(model), name="shared"), ctx))
sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
start = Entry("start", "mlflow", "run-1", "run.started", {"pipeline": "test", "params": {}, "started_ms": 1}, 0)
for i in range(8):
    body = {"step": f"s{number}", "name": "m", "value": float(i), "index": i, "at_ms": i}
    sink.deliver([start, Entry(f"{number}-{i}", "mlflow", "run-1", "metric", body, i)])
"""
"""A worker and the dispatcher at the same time: register a model, deliver telemetry."""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.sweep)])
def test_processes_that_start_together_share_one_run_and_one_version(
    ctx: LocalContext, tmp_path: Path, count: int
) -> None:
    model, _ = small_model(ctx)
    tests = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{ENGINE}:{tests}"}
    processes = [
        subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path), model.model_dump_json(), str(number)], env=env)
        for number in range(count)
    ]
    assert [process.wait(LONGEST) for process in processes] == [0] * count
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert {name: len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics} == {
        f"s{number}/m": 8 for number in range(count)
    }
    assert len(client.search_model_versions("name = 'shared'")) == 1
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server on the loopback address, and its process."""
    with held_port() as port:
        yield from serving(port, tmp_path)


def serving(port: int, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/files",
    ]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: process.poll() is not None or answers(port), LONGEST)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(WITHIN)


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
    process.wait(WITHIN)
    with pytest.raises(ToolUnavailable):
        sink.deliver([Entry("l", "mlflow", "run-1", "metric", body, 2)])
    with pytest.raises(ToolUnavailable):
        asyncio.run(promote(PromoteParams(version=first, stage="staging"), ctx))
    ctx.close()


class Cutting(ThreadingHTTPServer):
    """Hands requests on to a server, and often drops the connection once the server has done what was asked."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.behind = address.removeprefix("http://")
        self.cuts = 0
        self.chance = random.Random(3)
        super().__init__(("127.0.0.1", 0), CuttingHandler)


class CuttingHandler(BaseHTTPRequestHandler):
    server: Cutting

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        behind = HTTPConnection(self.server.behind, timeout=60)
        with closing(behind):
            behind.request(self.command, self.path, content, dict(self.headers))
            answer = behind.getresponse()
            body = answer.read()
        if self.server.chance.random() < 0.3:
            self.server.cuts += 1
            return
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_answers_cut_off_after_the_server_has_written_leave_nothing_twice(
    tmp_path: Path, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    proxy = Cutting(server[0])
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    settings = MLflowSettings(tracking_uri=f"http://127.0.0.1:{proxy.server_port}", deadline=60)
    started = {"pipeline": "cut", "params": {"rows": 3}, "started_ms": 1000}
    entries = [Entry("r//run.started/1000", "mlflow", "r", "run.started", started)]
    number = 0
    sink = None
    while proxy.cuts < 1000:
        if not entries:
            trial = {"status": "finished", "started_ms": 1000, "ended_ms": 1001, "params": {"n": number}}
            child = {"step": "tune", "name": f"trial {number}", "metrics": {"auc": 0.5}, "index": number, **trial}
            entries.append(Entry(f"r/tune/child/{number}", "mlflow", "r", "child", child, number))
            metric = {"step": "fit", "name": "loss", "value": 0.5, "index": number, "at_ms": 1000}
            entries.append(Entry(f"r/fit/metric/{number}", "mlflow", "r", "metric", metric, number))
            number += 1
        with contextlib.suppress(ToolUnavailable):
            sink = sink or open_sink(settings, tmp_path / "home", lambda artifact: tmp_path)
            sink.deliver(entries)
            entries.clear()
    proxy.shutdown()
    proxy.server_close()
    open_sink(MLflowSettings(tracking_uri=server[0]), tmp_path / "home", lambda artifact: tmp_path).deliver(
        entries or []
    )
    client = mlflow.MlflowClient(server[0])
    experiment = client.get_experiment_by_name("cut").experiment_id
    runs = client.search_runs([experiment], max_results=5000)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.info.run_name for run in runs if run is not parent) == sorted(f"trial {n}" for n in range(number))
    history = client.get_metric_history(parent.info.run_id, "fit/loss")
    assert sorted(row.step for row in history) == list(range(number))
