"""A small table that models can learn from. In: rows and a seed. Out: a frame with every kind of feature and target."""

from __future__ import annotations

import numpy as np
import pandas as pd

TARGETS = ("binary", "three", "amount")
NUMERIC = ("a", "b", "count")


def table(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Features a, b (missing values in a), count, flag, kind (text, missing values); targets binary, three, amount."""
    r = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": r.normal(size=rows),
            "b": r.normal(size=rows),
            "count": r.integers(0, 9, rows),
            "flag": r.random(rows) < 0.3,
            "kind": r.choice(["w", "x", "y", "z"], rows),
        }
    )
    signal = frame["b"] + 1.5 * (frame["kind"] == "x") + 0.5 * frame["flag"] + 0.5 * frame["a"]
    frame["binary"] = (signal + r.normal(size=rows) > 0.7).astype(int)
    frame["three"] = np.array(["high", "low", "middle"])[np.digitize(signal, [0.0, 1.2]).clip(0, 2)]
    frame["amount"] = signal + 0.1 * r.normal(size=rows)
    frame.loc[r.random(rows) < 0.1, "a"] = np.nan
    frame.loc[r.random(rows) < 0.1, "kind"] = None
    return frame


def others(target: str) -> list[str]:
    """The targets that must not be features of a model of ``target``."""
    return [name for name in TARGETS if name != target]
