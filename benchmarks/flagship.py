"""``e2i-run benchmarks/conversion.yaml`` beside the same work by hand, cold, whole processes, in turn; prints the
ratios.

    python benchmarks/flagship.py [--pairs 3] [--rows 50000] [--trials 20] [--by-hand SCRIPT]
    python benchmarks/flagship.py --equal [--rows 4000] [--trials 6]

Both sides start with nothing but byte-compiled libraries: a new store, a new folder; a small run of each, not timed,
comes first and compiles what either imports. Which side goes first alternates. CPU seconds are those of all processes
of a side, as the operating system counts them for finished children: on a busy machine they say more than the clock.
Then e2i runs again in the store of its cold run, with another number of rows to explain. ``--by-hand`` names another
script that takes ``--rows --trials --workdir``.

``--equal`` times nothing: it proves that both sides do the same work. The search is made sequential and the join is
made Feast's own, as in ``handwritten.py``; then both must find the same parameters and the same AUC to 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "benchmarks" / "conversion.yaml"
PROGRAM = str(Path(sys.executable).parent / "e2i-run")
GOALS = {"wall": 0.50, "cpu": 0.90, "again": 0.20}
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Measure:
    """Seconds of one whole run: wall clock, and CPU of the process and all that it waited for."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    trials: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--by-hand", type=Path, default=ROOT / "benchmarks" / "handwritten.py")
    parser.add_argument("--equal", action="store_true")
    given = parser.parse_args()
    size, script = Size(given.rows, given.trials), given.by_hand.resolve()
    if given.equal:
        sys.exit(compare(size))
    race(Size(2_000, 2), script, 0)
    races = []
    for number in range(given.pairs):
        ours, theirs, again = race(size, script, number)
        races.append((ours, theirs, again))
        print(
            f"pair {number + 1}: e2i {ours.wall:6.1f} s wall {ours.cpu:6.1f} s cpu | by hand {theirs.wall:6.1f} s wall "
            f"{theirs.cpu:6.1f} s cpu | e2i again {again.wall:5.1f} s wall {again.cpu:5.1f} s cpu",
            flush=True,
        )
    _tell("e2i / by hand, wall", [ours.wall / theirs.wall for ours, theirs, _ in races], GOALS["wall"])
    _tell("e2i / by hand, cpu", [ours.cpu / theirs.cpu for ours, theirs, _ in races], GOALS["cpu"])
    _tell("e2i again / by hand, wall", [again.wall / theirs.wall for _, theirs, again in races], GOALS["again"])


def race(size: Size, script: Path, number: int) -> tuple[Measure, Measure, Measure]:
    """A cold run of e2i, of the script, and e2i once more with another parameter near the end."""
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        params = ["-p", f"rows={size.rows}", "-p", f"trials={size.trials}"]
        run = [PROGRAM, str(SPEC), "--store", f"{folder}/store", *params]
        sized = ["--rows", str(size.rows), "--trials", str(size.trials)]
        hand = [sys.executable, str(script), *sized, "--workdir", f"{folder}/out"]
        if number % 2:
            theirs, ours = measure(hand), measure(run)
        else:
            ours, theirs = measure(run), measure(hand)
        return ours, theirs, measure([*run, "-p", "explain_rows=1500"])


def measure(command: Sequence[str]) -> Measure:
    """Runs a command to its end. Raises CalledProcessError when it fails."""
    before, began = os.times(), time.perf_counter()
    execute(command)
    wall, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Measure(wall, used)


def compare(size: Size) -> str | None:
    """Runs both sides once on equal terms; what differs, or None."""
    spec = yaml.safe_load(SPEC.read_text("utf-8"))
    spec["steps"]["join"]["with"]["created_cutoff"] = False
    spec["outputs"]["best_value"] = "${{ steps.tune.best_value }}"
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        equal = Path(folder) / "equal.yaml"
        equal.write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
        wanted = {"rows": size.rows, "trials": size.trials, "parallel": 1, "least_auc": 0.5}
        params = [part for name, value in wanted.items() for part in ("-p", f"{name}={value}")]
        ended = execute([PROGRAM, str(equal), "--store", f"{folder}/store", *params, "--json"])
        sized = ["--rows", str(size.rows), "--trials", str(size.trials), "--workdir", f"{folder}/out"]
        told = execute([sys.executable, str(ROOT / "benchmarks" / "handwritten.py"), *sized])
    ours = json.loads(ended.strip().splitlines()[-1])["outputs"]
    theirs = json.loads(told.strip().splitlines()[-1])
    pairs: dict[str, tuple[Any, Any]] = {
        "best_value": (ours["best_value"], theirs["best_value"]),
        "test_auc": (ours["test"]["roc_auc"], theirs["test_auc"]),
        **{f"best_params.{name}": (ours["best_params"][name], value) for name, value in theirs["best_params"].items()},
    }
    for name, (mine, other) in pairs.items():
        print(f"{name:30} e2i {mine:.12g}  by hand {other:.12g}")
    different = [name for name, (mine, other) in pairs.items() if not abs(mine - other) <= TOLERANCE]
    return f"not equal: {', '.join(different)}" if different else None


def execute(command: Sequence[str]) -> str:
    """What a command prints. Raises CalledProcessError when it fails, after showing why."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-4_000:], file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _tell(what: str, ratios: Sequence[float], goal: float) -> None:
    middle = statistics.median(ratios)
    verdict = "reached" if middle <= goal else "missed"
    print(f"{what:27} median {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); goal {goal:.2f}: {verdict}")


if __name__ == "__main__":
    main()
