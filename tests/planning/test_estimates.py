"""Estimates: of a step from observations, of a plan from its steps."""

from __future__ import annotations

import math
import random

import pytest

from e2i.planning.estimates.prediction import Observation, predict
from e2i.planning.estimates.schedule import simulate


def test_intervals_of_noisy_steps_hold_nine_of_ten_outcomes_and_medians_are_close() -> None:
    inside, errors = 0, []
    for seed in range(300):
        chance = random.Random(seed)
        fixed, growth, noise = chance.uniform(0.1, 5), 10 ** chance.uniform(-7, -4), chance.uniform(0.05, 0.35)

        *sizes, size = (10 ** chance.uniform(4, 6) for _ in range(chance.randint(5, 16)))
        took = {one: (fixed + growth * one) * math.exp(chance.gauss(0, noise)) for one in (*sizes, size)}
        found = predict([Observation(one, took[one]) for one in sizes], size)
        assert found is not None
        inside += found.low <= took[size] <= found.high
        errors.append(abs(found.median / (fixed + growth * size) - 1))
    assert 0.80 <= inside / 300 <= 0.97
    assert sorted(errors)[150] < 0.25


def test_one_observation_is_scaled_less_than_in_proportion_and_is_doubted() -> None:
    assert predict([], 5) is None
    found = predict([Observation(100, 10.0)], 1_000)
    assert found is not None and 20 < found.median < 100 and found.low < found.median < found.high
    unknown = predict([Observation(100, 10.0)], None)
    assert unknown is not None and unknown.median == pytest.approx(10.0)


def test_steps_run_beside_each_other_as_far_as_there_are_workers() -> None:
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "reused": ("d",)}
    seconds, memory = {"a": 1.0, "b": 4.0, "c": 2.0, "d": 1.0}, {"b": 5.0, "c": 7.0}
    assert simulate(needs, seconds, memory, 2) == (6.0, 12.0)
    assert simulate(needs, seconds, memory, 1) == (8.0, 7.0)
    assert simulate({}, {}, {}, 2) == (0.0, 0.0)
