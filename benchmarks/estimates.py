"""``e2i plan --estimate`` before each of many runs, beside what the run then took; prints errors and coverage.

    python benchmarks/estimates.py [--runs 30] [--first 4] [--seed 1]

The runs are of one spec, with other numbers of rows and trials each time, drawn by the seed, from nothing reused. The
first ones make the history and are not counted. Each later run is estimated from all runs before it. Reported are the
median of the relative error of the whole time, the share of runs within the 90 % interval, and the same of all steps
that take 0.2 s or more.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

PROGRAM = str(Path(sys.executable).parent / "e2i")
SPEC = """\
version: 1
name: estimated
params:
  rows: {type: integer, default: 20000}
  trials: {type: integer, default: 4}
steps:
  data: {uses: dataset.hcp, with: {rows: "${{ params.rows }}"}}
  quality:
    uses: great_expectations.validate
    with: {table: "${{ steps.data.journeys }}", suite: [{type: expect_column_values_to_not_be_null, column: hcp_id}]}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: target
      features: [brand, specialty, region, call_frequency, sample_frequency]
      algorithm: LightGBM
      trials: ${{ params.trials }}
  train:
    uses: model.train
    with:
      {table: "${{ steps.split.train }}", target: target, features: [brand, region, call_frequency], algorithm: XGBoost}
  evaluate: {uses: model.evaluate, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
"""
GOALS = "goals: median error ≤ 25 %, 80 to 97 % within"


class Compared(Struct):
    """An estimate and what it was."""

    what: str
    median: float
    low: float
    high: float
    took: float

    @property
    def error(self) -> float:
        return abs(self.median / self.took - 1)

    @property
    def is_inside(self) -> bool:
        return self.low <= self.took <= self.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--first", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    wholes: list[Compared] = []
    steps: list[Compared] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "spec.yaml").write_text(SPEC)
        for index in range(asked.first + asked.runs):
            rows, trials = round(10 ** chance.uniform(3.7, 5.0)), chance.randint(2, 8)
            given = ["-p", f"rows={rows}", "-p", f"trials={trials}", "--fresh"]
            estimate = json.loads(output(root, ["plan", "spec.yaml", *given, "--estimate", "--json"]))["estimate"]
            began = time.monotonic()
            output(root, ["run", "spec.yaml", *given, "--json"])
            seconds = time.monotonic() - began
            recorded = json.loads(output(root, ["show", "last", "--json"]))
            if index < asked.first:
                continue
            took = (recorded["ended_ms"] - recorded["started_ms"]) / 1000
            wholes.append(compared(f"{rows} rows, {trials} trials", estimate["seconds"], took))
            print(f"{wholes[-1].what}: {wholes[-1].median:.1f} s estimated, {took:.1f} s; process {seconds:.1f} s")
            actual = {step["step"]: step["tries"][-1]["seconds"] for step in recorded["steps"] if step["tries"]}
            steps += [compared(one["id"], one["seconds"], actual[one["id"]]) for one in estimate["steps"]]
    report("runs", wholes)
    report("steps of 0.2 s and more", [one for one in steps if one.took >= 0.2])
    print(GOALS)


def compared(what: str, estimate: dict[str, float], took: float) -> Compared:
    return Compared(what, estimate["median"], estimate["low"], estimate["high"], took)


def report(what: str, found: list[Compared]) -> None:
    error = statistics.median(one.error for one in found)
    inside = sum(one.is_inside for one in found) / len(found)
    print(f"{len(found)} {what}: median error {100 * error:.0f} %, {100 * inside:.0f} % within the interval")


def output(root: Path, command: list[str]) -> str:
    done = subprocess.run([PROGRAM, *command], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
