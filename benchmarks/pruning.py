"""Compare a pruned search with the same search without a pruner: time, and the best value that they find.

    python benchmarks/pruning.py [--seeds 10] [--trials 60] [--pruner hyperband] [--rows 1500]

For each seed, both sides search the same space on the same rows, one after the other in one process, in turn first. It
prints the ratio of their times (CPU and wall), and the mean difference of the best values beside the standard error of
the metric on the validation rows (bootstrap of the best model without a pruner). The goal: at most 0.6 of the time, and
a mean difference of at most one standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from e2i.estimators import fitting, metrics
from e2i.estimators.space import FloatRange, IntRange
from e2i.tools.optuna import search
from e2i.tools.optuna.objective import Models, Objective

METRIC = "roc_auc"
SPACE = {
    "n_estimators": IntRange(low=100, high=300),
    "max_depth": IntRange(low=2, high=6),
    "learning_rate": FloatRange(low=0.005, high=0.5, log=True),
    "subsample": FloatRange(low=0.5, high=1.0),
    "min_child_weight": FloatRange(low=0.1, high=20.0, log=True),
}


def table(rows: int, seed: int) -> pd.DataFrame:
    """Return rows of eight features, some without effect, and a noisy target."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(rows, 8))
    signal = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 0.5 * (x[:, 4] > 1)
    frame = pd.DataFrame(x, columns=list("abcdefgh"))
    frame["y"] = (signal + 1.5 * r.normal(size=rows) > 0.3).astype(int)
    return frame


def run(prepared: fitting.Prepared, pruner: Any, trials: int, seed: int) -> tuple[Any, float, float, int, Objective]:
    """Return the best trial, CPU and wall seconds, the number of pruned trials, and the objective."""
    plan = search.Plan(
        space=SPACE, trials=trials, directions=("maximize",), sampler="tpe", pruner=pruner, parallel=2, seed=seed
    )
    watched = None if pruner == "none" else METRIC
    objective = Objective(prepared, (METRIC,), {}, seed, Models(plan.directions), watched)  # type: ignore[arg-type]

    async def record(ended: Sequence[Any]) -> None:
        return

    cpu, wall = time.process_time(), time.perf_counter()
    found = asyncio.run(search.run(plan, objective, [], record, lambda: False, threads=2))
    took = time.process_time() - cpu, time.perf_counter() - wall
    pruned = sum(trial.state.name == "PRUNED" for trial in found)
    return search.best(found, "maximize", hint=""), *took, pruned, objective


def standard_error(objective: Objective, best: Any, seed: int) -> float:
    """Return the standard deviation of the metric over 200 bootstrap samples of the validation rows."""
    held_out = objective.prepared.validation
    fitted = objective.models.of(best.number)
    assert held_out is not None and fitted is not None
    predicted, r = fitted.scorer.output(held_out.matrix), np.random.default_rng(seed)
    drawn = (r.integers(0, len(predicted), len(predicted)) for _ in range(200))
    return statistics.stdev(metrics.score(METRIC, held_out.labels[rows], predicted[rows]) for rows in drawn)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--pruner", default="hyperband", choices=["median", "hyperband", "successive_halving"])
    given = parser.parse_args()
    cpu: list[list[float]] = [[], []]
    wall: list[list[float]] = [[], []]
    differences, errors = [], []
    with threadpool_limits(limits=1, user_api="blas"):
        for seed in range(given.seeds):
            frame = table(given.rows, seed)
            half = given.rows // 2
            prepared = fitting.prepare(frame[:half], frame[half:], "y", "XGBoost")
            best: list[Any] = [None, None]
            for side in (0, 1) if seed % 2 else (1, 0):
                pruner = given.pruner if side else "none"
                best[side], used, took, pruned, objective = run(prepared, pruner, given.trials, seed)
                cpu[side].append(used)
                wall[side].append(took)
                if not side:
                    errors.append(standard_error(objective, best[0], seed))
                else:
                    ended = pruned
            differences.append(best[0].value - best[1].value)
            print(
                f"seed {seed}: CPU {cpu[0][-1]:.1f} s without, {cpu[1][-1]:.1f} s with {given.pruner} "
                f"({ended} of {given.trials} pruned); best {best[0].value:.4f}, {best[1].value:.4f}",
                flush=True,
            )
    print(f"ratio of CPU time: {sum(cpu[1]) / sum(cpu[0]):.2f}; of wall time: {sum(wall[1]) / sum(wall[0]):.2f}")
    mean, error = statistics.mean(differences), statistics.mean(errors)
    print(f"mean loss of the best {METRIC}: {mean:+.4f}; standard error of the metric: {error:.4f}")


if __name__ == "__main__":
    main()
