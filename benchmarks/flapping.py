"""Programs that log to an MLflow server that flaps, and are killed: with e2i, and with MLflow's own client.

Both sides run in turn against servers of their own, behind connections that flap alike (passing on, refusing, silent,
breaking off after a request). It prints for each side the events whose call returned, those that are in MLflow, lost,
or there twice, and the longest call: ``python benchmarks/flapping.py [--seconds 120] [--kills 3] [--events 400]``
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from chaos.flapping import Flapping
from live import servers
from live.servers import MLflow
from project import held_port

if TYPE_CHECKING:
    from mlflow import MlflowClient

OURS = """
import asyncio, sys, time
from e2i.mlops import MLflowConnector

async def main():
    async with MLflowConnector().start_run(experiment_name="flapping") as run:
        print("run", run._local, flush=True)
        for step in range(int(sys.argv[1])):
            began = time.monotonic()
            await run.log_metrics({"loss": float(step)}, step=step)
            print(step, time.monotonic() - began, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
BARE = """
import sys, time, uuid
import mlflow

identity = uuid.uuid4().hex
while True:
    try:
        mlflow.set_experiment("flapping")
        run = mlflow.start_run(tags={"e2i.run_id": identity})
        break
    except Exception:
        time.sleep(1)
print("run", identity, flush=True)
for step in range(int(sys.argv[1])):
    began = time.monotonic()
    try:
        mlflow.log_metric("loss", float(step), step=step)
    except Exception:  # as programs do that must not lose their training to a dead tracker
        continue
    print(step, time.monotonic() - began, flush=True)
time.sleep(600)
"""
SIDES = {"e2i": OURS, "mlflow's client": BARE}
BOUNDED = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""What a careful user of the bare client sets: by default one call may take twenty minutes."""


def measure(side: str, seconds: float, kills: int, events: int) -> None:
    """Print the figures of one side."""
    returned: dict[str, set[int]] = {}
    longest = 0.0
    with servers.folder("flapping") as folder, held_port() as port, tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        (workspace / ".git").mkdir()
        server = MLflow(folder, port)
        server.start()
        front = Flapping(port)
        time.sleep(2)
        over = threading.Thread(target=front.flap, args=(seconds, random.Random(7)), daemon=True)
        over.start()
        environ = {**os.environ, **BOUNDED, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{front.port}"}
        for _ in range(kills):
            run, steps, slowest = _killed(SIDES[side], workspace, environ, events, seconds / kills)
            returned[run] = steps
            longest = max(longest, slowest)
        over.join()
        if side == "e2i":
            subprocess.run(
                [sys.executable, "-m", "e2i", "sync"], cwd=workspace, env=environ, check=True, capture_output=True
            )
        found = _found(server.client())
        server.kill()
        front.close()
    known = sum(map(len, returned.values()))
    lost = sum(len(steps - set(found.get(run, Counter()))) for run, steps in returned.items())
    doubled = sum(count - 1 for counts in found.values() for count in counts.values())
    there = sum(len(counts) for counts in found.values())
    print(
        f"{side:<16} returned {known:6}  in MLflow {there:6}  lost {lost:5}  doubled {doubled:4}"
        f"  longest call {longest:6.2f} s  of {kills * events} events",
        flush=True,
    )


def _killed(
    code: str, workspace: Path, environ: dict[str, str], events: int, seconds: float
) -> tuple[str, set[int], float]:
    """Run a program and kill it after so many seconds; return its run, the events that returned, the longest call."""
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(events)],
        cwd=workspace, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    killer = threading.Timer(seconds, lambda: os.kill(program.pid, signal.SIGKILL))
    killer.start()
    run, steps, longest = "", set(), 0.0
    for line in program.stdout:
        word, value = line.split()
        if word == "run":
            run = value
            continue
        steps.add(int(word))
        longest = max(longest, float(value))
    program.wait()
    killer.join()
    return run, steps, longest


def _found(client: MlflowClient) -> dict[str, Counter[int]]:
    """Return how often each step is in each run, by the program's own id of the run."""
    experiment = client.get_experiment_by_name("flapping")
    runs = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
    found: dict[str, Counter[int]] = {}
    for run in runs:
        counts = found.setdefault(run.data.tags["e2i.run_id"], Counter())
        counts.update(metric.step for metric in client.get_metric_history(run.info.run_id, "loss"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--events", type=int, default=400)
    options = parser.parse_args()
    for side in SIDES:
        measure(side, options.seconds, options.kills, options.events)


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
