"""``e2i-run benchmarks/wide.yaml`` beside the same cross-validation by hand, cold, whole processes, in turn: ratios.

    python benchmarks/wide.py [--rows 1000000] [--pairs 1] [--search 20]

A table of 50 columns, ten of them texts, is cross-validated in five folds: target encoding and imputing in each split,
XGBoost, a model of all rows. Peak memory is that of all processes of a side, shared pages counted once (PSS). Which
side goes first alternates. ``--search TRIALS`` measures a search over the folds instead: the share of the cores that
its threads ran on or waited for, which holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = str(Path(sys.executable).parent / "e2i-run")
WALL, MEMORY, CORES = 1.15, 1.3, 0.9
"""The most of the wall seconds and the peak memory by hand; the least share of the cores in a search."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a command and all its processes: wall and CPU seconds, peak memory in MB, share of the cores in demand."""

    wall: float
    cpu: float
    memory: float
    demand: float
    printed: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--search", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        root = Path(folder)
        write(root / "rows.parquet", given.rows)
        shutil.copy(HERE / "wide.yaml", root / "wide.yaml")
        if given.search:
            search(root, given.search)
        else:
            compare(root, given.pairs)


def compare(root: Path, pairs: int) -> None:
    """Print wall seconds and memory of both sides, and whether the goals are met."""
    walls, memories = [], []
    for number in range(pairs):
        run = [PROGRAM, "wide.yaml", "--store", f"store-{number}", "--json"]
        hand = [sys.executable, str(HERE / "wide_by_hand.py"), "--rows", "rows.parquet", "--workdir", f"out-{number}"]
        sides = [("e2i", run), ("hand", hand)]
        costs: dict[str, Cost] = {}
        for name, command in sides[::-1] if number % 2 else sides:
            costs[name] = cost = measure(command, root)
            used = f"{cost.wall:7.1f} s wall {cost.cpu:7.1f} s cpu {cost.memory:8.0f} MB"
            print(f"pair {number + 1}: {name:4} {used}  roc_auc {auc(name, cost.printed):.4f}", flush=True)
        walls.append(costs["e2i"].wall / costs["hand"].wall)
        memories.append(costs["e2i"].memory / costs["hand"].memory)
    for what, found, goal in (("wall", walls, WALL), ("memory", memories, MEMORY)):
        middle = statistics.median(found)
        spread = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{what}: median {middle:.2f} ({spread}); goal {goal}: {verdict(middle <= goal)}")


def search(root: Path, trials: int) -> None:
    """Print the share of the cores that a search over the folds used or waited for."""
    first = [PROGRAM, "wide.yaml", "--store", "store", "--select", "folds", "--select", "recipe"]
    measure(first, root)
    given = ["-p", "search=true", "-p", f"trials={trials}"]
    cost = measure([PROGRAM, "wide.yaml", "--store", "store", *given], root)
    cores = len(os.sched_getaffinity(0))
    print(f"{trials} trials in five folds: {cost.wall:.1f} s wall, {cost.cpu:.1f} s cpu, {cost.memory:.0f} MB")
    used = cost.cpu / (cost.wall * cores)
    print(f"share of {cores} cores: {used:.2f} used, {cost.demand:.2f} in demand", end="; ")
    print(f"goal {CORES}: {verdict(cost.demand >= CORES)}")


def verdict(met: bool) -> str:
    return "met" if met else "missed"


def auc(name: str, printed: str) -> float:
    found = json.loads(printed.strip().splitlines()[-1])
    return float(found["roc_auc"] if name == "hand" else found["outputs"]["metrics"]["roc_auc"]["mean"])


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run a command. Raises CalledProcessError when it fails, after showing why."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, began = os.times(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=err)
        watched = Watched(process.pid)
        code = process.wait()
        wall, after = time.perf_counter() - began, os.times()
        out.seek(0)
        err.seek(0)
        printed = out.read()
        if code:
            print(printed[-2_000:], err.read()[-4_000:], file=sys.stderr)
            raise subprocess.CalledProcessError(code, command)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    memory, demand = watched.end()
    return Cost(wall, cpu, memory / 1024, demand, printed)


class Watched:
    """The most memory that a process and all below it held at once, in kB, and the cores that they could use."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._done = pid, 0, threading.Event()
        self._cores = len(os.sched_getaffinity(0))
        self._wanted: list[int] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> tuple[int, float]:
        """Return the peak, and the mean share of the cores that had a thread to run."""
        self._done.set()
        self._thread.join()
        return self._peak, statistics.fmean(self._wanted) / self._cores if self._wanted else 0.0

    def _look(self) -> None:
        while not self._done.wait(0.25):
            pids = family(self._pid)
            self._wanted.append(min(self._cores, sum(map(runnable, pids))))
            self._peak = max(self._peak, sum(map(held, pids)))


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(path.name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += parents.get(one, [])
    return found


def held(pid: int) -> int:
    """Return the proportional share of memory of a process in kB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def runnable(pid: int) -> int:
    """Return the number of threads of a process that run or wait for a core; 0 when it has ended."""
    try:
        found = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return 0
    return found.count("R")


def write(path: Path, rows: int) -> None:
    """Write 39 numbers, a tenth of some missing, ten texts of 4 to 400 values, and a target, from a fixed seed."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    signal = np.zeros(rows)
    columns = {}
    for number in range(39):
        values = random.normal(size=rows)
        signal += values * (0.5 if number < 8 else 0.02)
        if number % 4 == 0:
            values[random.random(rows) < 0.1] = np.nan
        columns[f"n{number}"] = values
    for number in range(10):
        many = int(4 * 1.67**number)
        codes = random.integers(0, many, rows)
        signal += random.normal(size=many)[codes] * 0.3
        columns[f"t{number}"] = pd.Categorical.from_codes(codes, [f"value {one}" for one in range(many)]).astype(str)
    columns["target"] = (signal + random.logistic(size=rows) > 0).astype("int64")
    pd.DataFrame(columns).to_parquet(path)


if __name__ == "__main__":
    main()
