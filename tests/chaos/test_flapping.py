"""Programs whose tracker flaps, and which are killed: what they logged is in the tracker, each thing once."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from chaos.flapping import Flapping
from e2i.store.database import FILE
from live import servers
from live.servers import MLflow
from project import held_port
from tools.opik.stand_in import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SECONDS = float(os.environ.get("CHAOS_FLAPPING", "300"))
KILLS = 10
EVENTS = 10_000
PROGRAM = """
import asyncio, sys
from e2i.mlops import MLflowConnector, OpikConnector

async def main():
    tracer = OpikConnector()
    async with MLflowConnector().start_run(experiment_name="flapping") as run:
        print(run._local, flush=True)
        for step in range(int(sys.argv[1])):
            await run.log_metrics({"loss": float(step)}, step=step)
            if step % 10 == 0:
                with tracer.trace_agent("trainer", run._local, metadata={"step": step}):
                    pass
                await asyncio.sleep(0.1 if step + 10 >= int(sys.argv[1]) else 0)  # a plain `with` does not wait here
            print(step, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_what_was_logged_while_the_tracker_flapped_is_there_once(tmp_path: Path) -> None:
    with servers.folder("flapping") as folder, held_port() as port:
        server = MLflow(folder, port)
        server.start()
        opik = StandIn(folder / "opik.db")
        opik.start()
        fronts = [Flapping(port), Flapping(opik._port)]
        flapping = [
            threading.Thread(target=front.flap, args=(SECONDS, random.Random(index)), daemon=True)
            for index, front in enumerate(fronts)
        ]
        for thread in flapping:
            thread.start()
        (tmp_path / ".git").mkdir()
        environ = {
            **os.environ,
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{fronts[0].port}",
            "OPIK_URL_OVERRIDE": f"http://127.0.0.1:{fronts[1].port}/api",
        }
        durable: dict[str, int] = {}
        acknowledged_of: dict[str, int] = {}
        for _ in range(KILLS):
            run, acknowledged = log_and_be_killed(tmp_path, environ, EVENTS // KILLS)
            acknowledged_of[run] = acknowledged
            durable[run] = count(tmp_path, run)
            assert durable[run] >= acknowledged, "an event whose call has returned is durable"
            time.sleep(max(0.0, SECONDS / KILLS / 4))
        for thread in flapping:
            thread.join()
        for _ in range(10):
            done = subprocess.run(
                [sys.executable, "-m", "e2i", "sync"], cwd=tmp_path, env=environ, timeout=600, check=False
            )
            if done.returncode == 0:
                break
        client = server.client()
        experiment = client.get_experiment_by_name("flapping").experiment_id
        found = client.search_runs([experiment], max_results=1000)
        assert sorted(run.data.tags["e2i.run_id"] for run in found) == sorted(durable)
        for run in found:
            steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
            assert sorted(steps) == list(range(durable[run.data.tags["e2i.run_id"]]))
        assert sum(durable.values()) >= 0.9 * EVENTS
        assert traces(folder / "opik.db") == {run: len(range(0, count, 10)) for run, count in acknowledged_of.items()}
        server.kill()
        opik.close()
        for front in fronts:
            front.close()


def log_and_be_killed(workspace: Path, environ: dict[str, str], events: int) -> tuple[str, int]:
    """Run a program that logs so many events and is killed then; return its run's id, and how many calls returned."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(events)], cwd=workspace, env=environ, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    run = program.stdout.readline().strip()
    last = -1
    ends = time.monotonic() + 120
    for line in program.stdout:
        last = int(line)
        if last == events - 1 or time.monotonic() > ends:
            break
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    return run, last + 1


def count(workspace: Path, run: str) -> int:
    """How many metrics of a run are in the outbox, delivered or not."""
    with closing(sqlite3.connect(workspace / ".e2i" / FILE)) as database:
        row = database.execute(
            "SELECT count(*) FROM outbox WHERE run = ? AND kind = 'program.metrics'", (run,)
        ).fetchone()
    return int(row[0])


def traces(database: Path) -> dict[str, int]:
    """How many finished traces Opik has of each program. Their ids are unique there."""
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("SELECT document FROM records WHERE kind = 'traces'").fetchall()
    found: dict[str, int] = {}
    for (body,) in rows:
        document = json.loads(body)
        if document.get("end_time"):
            name = document["name"].removeprefix("trainer.")
            found[name] = found.get(name, 0) + 1
    return found
