"""``e2i-run specs/hcp_conversion.yaml`` beside the same work by hand, cold, whole processes, in turn; prints the
ratios.

    python benchmarks/flagship.py [--pairs 3] [--rows 50000] [--trials 20] [--by-hand SCRIPT]

Both sides start with nothing but byte-compiled libraries: a new store, a new folder. CPU seconds are those of all
processes of a side, as the operating system counts them for finished children. ``--by-hand`` names another script
that takes ``--rows --trials --workdir``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Measure:
    """Seconds of one whole run: wall clock, and CPU of the process and all that it waited for."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--by-hand", type=Path, default=ROOT / "benchmarks" / "handwritten.py")
    given = parser.parse_args()
    size = ["--rows", str(given.rows), "--trials", str(given.trials)]
    pairs = []
    for number in range(given.pairs):
        with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
            program = str(Path(sys.executable).parent / "e2i-run")
            params = ["-p", f"rows={given.rows}", "-p", f"trials={given.trials}"]
            command = [program, "specs/hcp_conversion.yaml", "--store", f"{folder}/store", *params]
            ours, again = measure(command), measure(command)
            shutil.rmtree(f"{folder}/store")
            theirs = measure([sys.executable, str(given.by_hand), *size, "--workdir", f"{folder}/out"])
        pairs.append((ours, theirs, again))
        print(
            f"pair {number + 1}: e2i {ours.wall:6.1f} s wall {ours.cpu:6.1f} s cpu | by hand {theirs.wall:6.1f} s wall "
            f"{theirs.cpu:6.1f} s cpu | e2i again {again.wall:5.1f} s wall",
            flush=True,
        )
    wall = [ours.wall / theirs.wall for ours, theirs, _ in pairs]
    cpu = [ours.cpu / theirs.cpu for ours, theirs, _ in pairs]
    second = [again.wall / ours.wall for ours, _, again in pairs]
    print(f"ratio e2i / by hand, wall:  median {statistics.median(wall):.2f} ({min(wall):.2f} to {max(wall):.2f})")
    print(f"ratio e2i / by hand, cpu:   median {statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f})")
    print(
        f"second run / first, wall:   median {statistics.median(second):.3f} ({min(second):.3f} to {max(second):.3f})"
    )


def measure(command: list[str]) -> Measure:
    """Runs a command to its end. Raises CalledProcessError when it fails."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wall, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Measure(wall, used)


if __name__ == "__main__":
    main()
