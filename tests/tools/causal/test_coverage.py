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
POPULATION = 1.25
"""The mean of 1 + share + 0.5 for half of the rows."""
TABLE = {"type": "table", "digest": "sha256:" + "0" * 64, "columns": [], "rows": ROWS}


@pytest.mark.slow
def test_the_intervals_of_the_average_cover_the_truth_as_often_as_they_say() -> None:
    """The truth is that of the population. The average is the same for every estimator of the effect by row."""
    given = {"table": TABLE, "treatment": "called", "outcome": "sales", "effect_modifiers": ["share", "segment"]}
    params = BUILT_IN.validate("causal.estimate", {**given, "confounders": ["size"], "folds": 3})
    assert isinstance(params, EstimateParams)
    covered, errors, ranked = 0, [], 0
    for seed in range(SEEDS):
        frame = data(ROWS, seed)
        found = estimation.estimate(ask(frame, params), params, seed, 1)
        covered += found.effect.low <= POPULATION <= found.effect.high
        errors.append(found.effect.value - POPULATION)
        by_segment = [found.final.effect[frame["segment"] == name].mean() for name in "ab"]
        ranked += by_segment[0] < by_segment[1]
    print(f"{covered} of {SEEDS} intervals, bias {np.mean(errors):+.4f}, {ranked} rankings")
    few = SEEDS < 50  # too few to tell 95 % from 100 %
    assert 0.9 * SEEDS - few <= covered <= (SEEDS if few else 0.98 * SEEDS)
    assert abs(np.mean(errors)) < 0.02 * POPULATION + 0.02 * few
    assert ranked >= 0.95 * SEEDS
