"""The first calls of an async program: how long its event loop stands still, with e2i and with MLflow in a thread.

The first call imports MLflow. Both sides run in turn, in processes and folders of their own. It prints for each side
the median of the longest pauses of the loop, and of the seconds until the model is logged:
``python benchmarks/first_calls.py [--pairs 5]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FRAME = """
import asyncio, json, time
import numpy as np
from sklearn.linear_model import LogisticRegression

x = np.arange(200.0).reshape(-1, 1)
model = LogisticRegression().fit(x, [0, 1] * 100)
pauses = []

async def tick():
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        pauses.append(now - last - 0.005)
        last = now

async def main():
    ticking = asyncio.create_task(tick())
    began = time.monotonic()
    await work()
    took = time.monotonic() - began
    ticking.cancel()
    print(json.dumps({"pause": max(pauses), "seconds": took}))
"""
OURS = """
async def work():
    from e2i.mlops import MLflowConnector

    async with MLflowConnector().start_run(experiment_name="first") as run:
        await run.log_metrics({"loss": 1.0})
        await run.log_model(model, "model")
"""
BARE = """
def log():
    import mlflow

    mlflow.set_tracking_uri("sqlite:///runs.db")
    mlflow.set_experiment("first")
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0)
        mlflow.sklearn.log_model(model, name="model", serialization_format="skops")

async def work():
    await asyncio.to_thread(log)
"""
SIDES = {"e2i": OURS, "mlflow in a thread": BARE}


def measure(side: str) -> tuple[float, float]:
    """Return the longest pause and the seconds of one program."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / ".git").mkdir()
        code = f"{FRAME}{SIDES[side]}\nasyncio.run(main())\n"
        done = subprocess.run([sys.executable, "-c", code], cwd=name, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["pause"], found["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    found = [{side: measure(side) for side in SIDES} for _ in range(pairs)]
    for side in SIDES:
        pause, seconds = (statistics.median(one[side][index] for one in found) for index in (0, 1))
        print(f"{side:<20} longest pause {1000 * pause:7.0f} ms   in {seconds:5.1f} s")
    ratio = statistics.median(one["e2i"][0] / one["mlflow in a thread"][0] for one in found)
    print(f"median of the paired ratios of the pauses {ratio:.2f}")


if __name__ == "__main__":
    main()
