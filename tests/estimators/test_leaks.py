"""Planted leaks are named, and tables without one are not suspected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2i.estimators import fitting, sketch

ROWS = 1_500
SEEDS = range(4)
TARGETS = ("binary", "amount")


def clean(seed: int, target: str) -> pd.DataFrame:
    """A table whose features say something about the target, and not everything."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": random.normal(size=ROWS),
            "b": random.integers(0, 30, ROWS),
            "brand": random.choice(["x", "y", "z"], ROWS),
            "customer": random.permutation(ROWS),
            "gap": np.where(random.random(ROWS) < 0.2, np.nan, random.normal(size=ROWS)),
        }
    )
    signal = frame["a"] + 0.05 * frame["b"] + (frame["brand"] == "x")
    noisy = signal + random.normal(size=ROWS)
    frame["y"] = noisy if target == "amount" else (noisy > noisy.median()).astype(int)
    return frame


def warnings(train: pd.DataFrame, validation: pd.DataFrame) -> tuple[str, ...]:
    return fitting.prepare(train, validation, "y", "LightGBM").warnings


def parts(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame[: ROWS // 2], frame[ROWS // 2 :]


def noisy_copy(frame: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    spread = 0.01 * frame["y"].std()
    return frame.assign(leak=2.5 * frame["y"] + random.normal(0, spread, ROWS))


def identifier(frame: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return frame.assign(leak=frame["y"].rank(method="first").astype(int) + 10_000)


def afterwards(frame: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """A category that is filled in once the outcome is known."""
    high = frame["y"] > frame["y"].median() if frame["y"].nunique() > 2 else frame["y"] == 1
    return frame.assign(leak=np.where(high, "contract", "reminder"))


def missing(frame: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """A value that exists for one outcome only."""
    return frame.assign(leak=np.where(frame["y"] == 1, random.normal(size=ROWS), np.nan))


LEAKS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "noisy copy": (noisy_copy, TARGETS),
    "identifier in the order of the target": (identifier, TARGETS),
    "category from afterwards": (afterwards, ("binary",)),
    "missing unless it happened": (missing, ("binary",)),
}
CASES = [(name, target, seed) for name, (_, targets) in LEAKS.items() for target in targets for seed in SEEDS]


@pytest.mark.parametrize(("name", "target", "seed"), CASES)
def test_a_feature_that_knows_the_target_is_named(name: str, target: str, seed: int) -> None:
    frame = clean(seed, target)
    found = warnings(*parts(LEAKS[name][0](frame, np.random.default_rng(seed))))
    assert len(found) == 1 and "feature 'leak' alone predicts the target 'y' almost perfectly" in found[0]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(20))
def test_a_clean_table_is_not_suspected(target: str, seed: int) -> None:
    assert warnings(*parts(clean(seed, target))) == ()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_rows_in_both_tables_are_counted(target: str, seed: int) -> None:
    train, validation = parts(clean(seed, target))
    found = warnings(train, pd.concat([validation, train.sample(frac=0.2, random_state=seed)]))
    assert len(found) == 1 and found[0].startswith("17% of the validation rows are training rows too")


def test_equal_rows_by_chance_are_not_counted() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": random.integers(0, 5, 400), "b": random.integers(0, 5, 400), "y": random.integers(0, 2, 400)}
    )
    assert warnings(frame[:200], frame[200:]) == ()


def test_a_listed_identifier_is_named() -> None:
    frame = clean(0, "binary").assign(code=[f"id {row}" for row in range(ROWS)])
    found = fitting.prepare(frame, None, "y", "LightGBM", features=["a", "code"]).warnings
    assert len(found) == 1 and found[0].startswith("feature 'code' looks like an identifier: 1,500 different texts")


def test_a_sketch_estimates_the_share_for_large_tables() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, 400_000, dtype=np.uint64)
    known = np.unique(hashes)[: sketch.SIZE]
    table = np.concatenate([hashes[:10_000], random.integers(0, 2**63, 30_000, dtype=np.uint64)])
    assert sketch.share(known, table) == pytest.approx(0.25, abs=0.06)
    assert sketch.share(known, table[10_000:]) == 0.0


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_feature_that_knows_one_of_three_classes_is_named(kind: str) -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 3, 600)
    leak = 2.5 * target + random.normal(0, 0.01, 600)
    frame = pd.DataFrame({"a": random.normal(size=600), "leak": leak, "y": target})
    if kind == "category":
        frame["leak"] = [f"{'pqr'[label]}{row % 2}" for row, label in enumerate(target)]
    found = fitting.prepare(frame, None, "y", "LightGBM", task="classification").warnings
    assert len(found) == 1 and "feature 'leak' alone predicts" in found[0]


def test_a_few_rows_are_not_suspected() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0, 1, 1]})
    assert fitting.prepare(frame, None, "y", "XGBoost").warnings == ()
