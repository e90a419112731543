"""``e2i-run benchmarks/effects.yaml`` beside the same work by hand, cold, whole processes, in turn; prints the ratios.

    python benchmarks/causal.py [--pairs 3] [--rows 50000]

Both sides estimate a causal forest with the same nuisance models, its effects by row with intervals, the average,
SHAP values, a doubly robust validation on other entities, and register the model. A small run of each, not timed,
comes first. Which side goes first alternates. CPU seconds are those of all processes of a side.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "benchmarks" / "effects.yaml"
BY_HAND = ROOT / "benchmarks" / "effects_by_hand.py"
PROGRAM = str(Path(sys.executable).parent / "e2i-run")
GOAL = 0.7
"""Wall seconds of e2i over those by hand."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    given = parser.parse_args()
    race(2_000, 0)
    walls, cpus = [], []
    for number in range(given.pairs):
        ours, theirs = race(given.rows, number)
        walls.append(ours[0] / theirs[0])
        cpus.append(ours[1] / theirs[1])
        sides = (
            f"{name} {wall:6.1f} s wall {cpu:6.1f} s cpu" for name, (wall, cpu) in (("e2i", ours), ("hand", theirs))
        )
        print(f"pair {number + 1}: {' | '.join(sides)}", flush=True)
    middle = statistics.median(walls)
    verdict = "met" if middle <= GOAL else "missed"
    print(f"wall: median {middle:.2f} ({min(walls):.2f} to {max(walls):.2f}); goal {GOAL}: {verdict}")
    print(f"cpu:  median {statistics.median(cpus):.2f} ({min(cpus):.2f} to {max(cpus):.2f})")


def race(rows: int, number: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return wall and CPU seconds of e2i, and of the script."""
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        run = [PROGRAM, str(SPEC), "--store", f"{folder}/store", "-p", f"rows={rows}"]
        hand = [sys.executable, str(BY_HAND), "--rows", str(rows), "--workdir", f"{folder}/out"]
        if number % 2:
            theirs, ours = measure(hand), measure(run)
        else:
            ours, theirs = measure(run), measure(hand)
        return ours, theirs


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command. Raises CalledProcessError when it fails, after showing why."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-4_000:], file=sys.stderr)
        done.check_returncode()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
