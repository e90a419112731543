"""How often the intervals contain the truth, over seeds. ``CHAOS_SEEDS=5`` for fewer of them."""

from __future__ import annotations

import os

import numpy as np
import pytest

from called import data
from e2i.catalog.registry import BUILT_IN
from e2i.tools.causal import EstimateParams, estimation
from e2i.tools.causal.question import ask

SEEDS = int(os.environ.get("CHAOS_SEEDS", "100"))
ROWS = 5000
TABLE = {"type": "table", "digest": "sha256:" + "0" * 64, "columns": [], "rows": ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["LinearDML", "DRLearner"])
def test_the_intervals_of_the_average_cover_the_truth_as_often_as_they_say(estimator: str) -> None:
    """Measured: 2 % of bias, and coverage that 100 draws of a 95 % interval can have."""
    given = {"table": TABLE, "treatment": "called", "outcome": "sales", "effect_modifiers": ["share", "segment"]}
    params = BUILT_IN.validate(
        "causal.estimate", {**given, "confounders": ["size"], "estimator": estimator, "folds": 3}
    )
    assert isinstance(params, EstimateParams)
    covered, errors, ranked = 0, [], 0
    for seed in range(SEEDS):
        frame = data(ROWS, seed)
        found = estimation.estimate(ask(frame, params), params, seed, 1)
        truth = float(frame["true"].mean())
        covered += found.effect.low <= truth <= found.effect.high
        errors.append(found.effect.value - truth)
        by_segment = [found.final.effect[frame["segment"] == name].mean() for name in "ab"]
        ranked += by_segment[0] < by_segment[1]
    print(f"{estimator}: {covered} of {SEEDS} intervals, bias {np.mean(errors):+.4f}, {ranked} rankings")
    assert covered >= 0.9 * SEEDS - (SEEDS < 50) and (covered <= 0.98 * SEEDS or SEEDS < 50)
    assert abs(np.mean(errors)) < 0.02 * 1.25 + (SEEDS < 50)
    assert ranked >= 0.95 * SEEDS
