"""``e2i rehearse SPEC`` beside the whole run of the same spec, cold, whole processes, in turn; prints the ratio.

    python benchmarks/rehearse.py [--spec specs/flight_delays.yaml] [--pairs 2] [-p rows=0] [--rows 2000]

Both sides start with nothing but byte-compiled libraries: the run in a new store, the rehearsal in its own. Measures
wall seconds, and CPU seconds of all processes of a side as the operating system counts them for finished children. The
goal is that of specs that run for a minute or longer.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(Path(sys.executable).parent / "e2i")
GOAL = 0.40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", default="specs/flight_delays.yaml")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("-p", "--param", action="append", default=[])
    asked = parser.parse_args()
    given = [part for param in asked.param for part in ("-p", param)]
    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    for _ in range(asked.pairs):
        whole = timed(["run", asked.spec, *given])
        rehearsed = timed(["rehearse", asked.spec, *given, "--rows", str(asked.rows)])
        for index, kind in enumerate(ratios):
            ratios[kind].append(rehearsed[index] / whole[index])
        print(f"run {whole[0]:.1f} s (CPU {whole[1]:.1f}), rehearsal {rehearsed[0]:.1f} s (CPU {rehearsed[1]:.1f})")
    for kind, found in ratios.items():
        print(f"{kind}: {statistics.median(found):.2f} of the run; goal {GOAL}")


def timed(command: list[str]) -> tuple[float, float]:
    """Returns the wall and CPU seconds of a command in a new workspace with the project's specs and settings."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("specs", "config"):
            shutil.copytree(ROOT / name, Path(folder) / name)
        before, began = os.times(), time.monotonic()
        done = subprocess.run([PROGRAM, *command], cwd=folder, capture_output=True, text=True, check=False)
        after, seconds = os.times(), time.monotonic() - began
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}\n{done.stdout}")
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        return seconds, spent


if __name__ == "__main__":
    main()
