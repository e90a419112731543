"""Bounds of hyperparameters: each library refuses what is outside them, and takes the bound itself."""

from __future__ import annotations

from typing import Any

import pytest

from e2i.errors import StepError
from e2i.estimators import fitting
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.bounds import BOUNDS, Bound
from learning import others, table

CASES = [(algorithm, name) for algorithm, found in BOUNDS.items() for name in found]
FRAME = table(60)


def fit(algorithm: str, name: str, value: Any) -> None:
    target = "binary" if "classification" in ALGORITHMS[algorithm].tasks else "amount"
    rounds = {key: 2 for key in ("n_estimators", "iterations") if key in ALGORITHMS[algorithm].params}
    prepared = fitting.prepare(FRAME, None, target, algorithm, exclude=[*others(target), "flag", "kind"])
    fitting.fit(prepared, {**rounds, name: value}, seed=1, threads=1)


@pytest.mark.parametrize(("algorithm", "name"), CASES)
def test_what_is_outside_of_the_bounds_is_refused_by_the_library(algorithm: str, name: str) -> None:
    bound = BOUNDS[algorithm][name]
    outside = [bound.low if bound.above else bound.low - 1]
    outside += [] if bound.high is None else [bound.high + 1]
    for value in outside:
        assert not bound.allows(value)
        with pytest.raises(StepError):
            fit(algorithm, name, value)
    assert name in ALGORITHMS[algorithm].params


def test_bounds_are_described() -> None:
    assert [str(Bound(0, 1, above=True)), str(Bound(2))] == ["above 0 and at most 1", "at least 2"]
